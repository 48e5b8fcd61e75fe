package tactus_test

import (
	"errors"
	"testing"

	tactus "github.com/tactus-dev/tactus/clients/go"
)

// TestLifeOfASchedule does with the methods what services do.
func TestLifeOfASchedule(t *testing.T) {
	t.Parallel()
	c := client(t, serve(t), tactus.Config{})
	made, err := c.Create(t.Context(), daily)
	if err != nil {
		t.Fatal(err)
	}
	if s, err := c.Disable(t.Context(), made.Id, tactus.Pause{Reason: new("a holiday")}); err != nil || s.Enabled {
		t.Errorf("disabled: %v, %v", s.Enabled, err)
	}
	if s, err := c.Enable(t.Context(), made.Id); err != nil || !s.Enabled {
		t.Errorf("enabled: %v, %v", s.Enabled, err)
	}
	triggered, err := c.Trigger(t.Context(), made.Id, tactus.ManualRun{Kwargs: &map[string]any{"to": "me"}})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := c.Run(t.Context(), triggered.RunId); err != nil || r.ScheduleId != made.Id {
		t.Errorf("the run is of %s: %v", r.ScheduleId, err)
	}
	if r, err := c.Rerun(t.Context(), triggered.RunId); err != nil || r.RunId == nil || *r.RunId == triggered.RunId {
		t.Errorf("run again: %+v, %v", r, err)
	}
	if err := c.Delete(t.Context(), made.Id); err != nil {
		t.Error(err)
	}
	if _, err := c.Get(t.Context(), made.Id); !errors.Is(err, tactus.ErrNotFound) {
		t.Errorf("deleted, and read: %v", err)
	}
}
