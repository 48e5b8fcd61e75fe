package projection_test

import (
	"testing"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/calendar"
	"github.com/tactus-dev/tactus/internal/projection"
	"github.com/tactus-dev/tactus/outbox"
)

// TestCalendarsAreRebuilt spoils the rows of calendars, and has them made of their events again.
func TestCalendarsAreRebuilt(t *testing.T) {
	t.Parallel()
	w := filled(t)
	source := "files"
	for _, name := range []string{"spoiled", "lost", "deleted", "kept", "taken"} {
		c := domain.Calendar{Name: name, Source: &source, Days: []calendar.Item{{From: "2027-01-01", Reason: "元日"}}}
		if _, _, err := w.store.PutCalendar(t.Context(), c, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.store.DeleteCalendar(t.Context(), "deleted", 0); err != nil {
		t.Fatal(err)
	}
	rebuild := func(swap bool) (r projection.Result) {
		r, err := projection.Rebuild(t.Context(), w.pool, projection.Config{Swap: swap})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := rebuild(false); r.Different != 0 {
		t.Errorf("as they were written: %+v", r)
	}
	w.sql(t, `update tactus.calendars set days = '[]' where name = 'spoiled'`)
	w.sql(t, `update tactus.calendars set deleted_at = null where name = 'deleted'`)
	w.sql(t, `delete from tactus.calendars where name = 'lost'`)
	w.sql(t, `update tactus.calendars set source = 'others' where name = 'taken'`)
	if r := rebuild(false); r.Different != 4 || r.Replaced != 0 {
		t.Errorf("spoiled: %+v", r)
	}
	if r := rebuild(true); r.Different != 4 || r.Replaced != 4 || r.Left != 0 {
		t.Errorf("mended: %+v", r)
	}
	if r := rebuild(false); r.Different != 0 {
		t.Errorf("after it: %+v", r)
	}
	for name, version := range map[string]int64{"spoiled": 2, "lost": 2, "kept": 1, "taken": 2} {
		c, err := outbox.GetCalendar(t.Context(), w.pool, name)
		if err != nil || c.Version != version || len(c.Days) != 1 || c.Days[0].Reason != "元日" || c.Source == nil || *c.Source != "files" {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
}
