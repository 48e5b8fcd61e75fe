package domain

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestEveryShapeHasAHistory holds that no release's events go untested.
func TestEveryShapeHasAHistory(t *testing.T) {
	t.Parallel()
	if len(upcasters) != Schema-1 {
		t.Errorf("%d upcasters to shape %d", len(upcasters), Schema)
	}
	for shape := 1; shape <= Schema; shape++ {
		if _, err := os.Stat(fmt.Sprintf("testdata/events/v%d.jsonl", shape)); err != nil {
			t.Errorf("shape %d has no history: %v", shape, err)
		}
	}
}

// later are upcasters that a future could bring: a member is renamed, then another changes its unit.
var later = []upcaster{
	func(members map[string]json.RawMessage) error {
		members["task_name"] = members["task"]
		delete(members, "task")
		return nil
	},
	func(members map[string]json.RawMessage) error {
		var minutes int64
		if err := json.Unmarshal(members["jitter_minutes"], &minutes); err != nil {
			return err
		}
		members["jitter_seconds"] = fmt.Append(nil, minutes*60)
		delete(members, "jitter_minutes")
		return nil
	},
}

func TestUpcast(t *testing.T) {
	t.Parallel()
	const id = `"id":"019ca93d-4000-7000-8000-00000000002a","version":3,"kwargs":{"schema":9,"big":12345678901234567890}`
	for name, data := range map[string]string{
		"of the first shape, which says none": `{` + id + `,"task":"app.task","jitter_minutes":2}`,
		"of the second":                       `{"schema":2,` + id + `,"task_name":"app.task","jitter_minutes":2}`,
		"of the third":                        `{"schema":3,` + id + `,"task_name":"app.task","jitter_seconds":120}`,
	} {
		s, err := decodeBy(later, []byte(data))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if s.TaskName != "app.task" || s.JitterSeconds != 120 || s.Version != 3 || !strings.Contains(string(s.Kwargs), "12345678901234567890") {
			t.Errorf("%s: %+v", name, s)
		}
	}
	for name, data := range map[string]string{
		"of a later release":  `{"schema":4,` + id + `,"task_name":"app.task"}`,
		"not as its shape is": `{` + id + `,"task":"app.task","jitter_minutes":"two"}`,
		"no JSON":             `{`,
	} {
		if s, err := decodeBy(later, []byte(data)); err == nil {
			t.Errorf("%s: %+v", name, s)
		}
	}
	if _, err := decodeBy([]upcaster{func(map[string]json.RawMessage) error { return errUpcast }}, []byte(`{}`)); !errors.Is(err, errUpcast) {
		t.Error(err)
	}
}

var errUpcast = errors.New("cannot be raised")
