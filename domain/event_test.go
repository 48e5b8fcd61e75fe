package domain_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tactus-dev/tactus/domain"
)

const historyFile = "testdata/events/v1.jsonl"

// history is a life of a schedule through every command, an hour between them, and the schedule at its end.
func history(t *testing.T) (lines []byte, final domain.Schedule) {
	t.Helper()
	when := now
	var s domain.Schedule
	record := func(c domain.Change) {
		line, err := json.Marshal(eventOf(t, c, when))
		if err != nil {
			t.Fatal(err)
		}
		lines = append(append(lines, line...), '\n')
		s = applied(t, s, c, when)
		when = when.Add(time.Hour)
	}
	redefine := func(patch string) {
		merged, err := s.Merge([]byte(patch))
		if err != nil {
			t.Fatal(err)
		}
		d, _, err := merged.Normalize(domain.Context{ID: s.ID, Now: when, Previous: &s.Definition})
		if err != nil {
			t.Fatal(err)
		}
		change, _ := s.Redefine(d)
		record(change)
	}
	enable := func(enabled bool) {
		change, _ := s.SetEnabled(enabled)
		record(change)
	}
	record(domain.Create(scheduleID, normalized(t, `{
		"name": "report", "description": "日報 & <b>", "category": "reports", "tags": ["daily"],
		"cron_expression": "30 9 * * mon-fri", "timezone": "Asia/Tokyo", "starts_at": "2026-04-01T00:00", "jitter_seconds": 20,
		"task_name": "app.tasks.report", "args": [1, "two"], "kwargs": {"big": 12345678901234567890, "x": null},
		"queue": "q", "priority": 3, "headers": {"trace": "t"}, "expires_seconds": 600, "max_runs": 100
	}`)))
	redefine(`{"description": "the daily report", "kwargs": {"big": null, "x": 2}}`)
	redefine(`{"cron_expression": "0 0 13 * 5", "cron_dialect": "vixie", "dst_gap": "skip"}`)
	enable(false)
	enable(true)
	redefine(`{"run_at": "2026-11-01T01:30", "timezone": "America/New_York", "dst_overlap": "second", "starts_at": null}`)
	redefine(`{"interval_seconds": 90, "interval_anchor": "2026-03-01T00:00:00Z", "misfire_policy": "all", "queue": null, "priority": null, "stream": "orders"}`)
	record(s.Delete())
	return lines, s
}

// TestHistoryIsWrittenAsEver holds that the commands write the events that they have always written. It is not
// parallel, so that with -update the others read what it wrote.
func TestHistoryIsWrittenAsEver(t *testing.T) {
	got, _ := history(t)
	if *update {
		if err := os.WriteFile(historyFile, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(historyFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, got) {
		t.Errorf("(-want +got):\n%s", cmp.Diff(strings.Split(string(want), "\n"), strings.Split(string(got), "\n")))
	}
}

// TestHistoryIsReadForEver applies the events of every released version.
func TestHistoryIsReadForEver(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/events/*.jsonl")
	if err != nil || len(files) == 0 {
		t.Fatal("there are no histories", err)
	}
	for _, file := range files {
		s := replayed(t, file)
		if s.DeletedAt.IsZero() || s.ID != scheduleID {
			t.Errorf("%s ends with %+v", file, s)
		}
	}
	_, want := history(t)
	if diff := cmp.Diff(want, replayed(t, historyFile)); diff != "" {
		t.Errorf("(-commands +events):\n%s", diff)
	}
}

func replayed(t *testing.T, file string) (s domain.Schedule) {
	t.Helper()
	lines, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(lines))
	for decoder.More() {
		var e domain.Event
		if err := decoder.Decode(&e); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if s, err = domain.Apply(s, e); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if _, err := s.Recurrence(); err != nil {
			t.Errorf("%s: version %d: %v", file, s.Version, err)
		}
	}
	return s
}

func TestApplyRefuses(t *testing.T) {
	t.Parallel()
	s := create(t, `{"name": "n", "task_name": "a", "cron_expression": "0 9 * * *"}`)
	good := eventOf(t, s.Delete(), now)
	for name, spoil := range map[string]func(*domain.Event){
		"a gap in the versions": func(e *domain.Event) { e.Version++ },
		"a version again":       func(e *domain.Event) { e.Version-- },
		"another schedule":      func(e *domain.Event) { e.ScheduleID[0]++ },
		"data of another":       func(e *domain.Event) { e.Data = bytes.Replace(e.Data, []byte("2a"), []byte("2b"), 1) },
		"no data":               func(e *domain.Event) { e.Data = nil },
	} {
		bad := good
		bad.Data = bytes.Clone(good.Data)
		spoil(&bad)
		if _, err := domain.Apply(s, bad); err == nil {
			t.Errorf("%s is applied", name)
		}
	}
	if _, err := domain.Apply(s, good); err != nil {
		t.Error(err)
	}
}
