package domain_test

import (
	"encoding/json"
	"flag"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// now is the instant at which the tests write; a Sunday.
var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

var scheduleID = domain.ID{0x01, 0x9c, 0xa9, 0x3d, 0x40, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 0x2a}

func at(t testing.TB, text string) time.Time {
	t.Helper()
	instant, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t.Fatal(err)
	}
	return instant
}

func decode(t testing.TB, text string) domain.Definition {
	t.Helper()
	d, err := domain.Decode([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// normalized reads a definition as the API does.
func normalized(t testing.TB, text string) domain.Definition {
	t.Helper()
	d, _, err := decode(t, text).Normalize(domain.Context{ID: scheduleID, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// eventOf returns the event of a change that is made at an instant.
func eventOf(t testing.TB, c domain.Change, when time.Time) domain.Event {
	t.Helper()
	after := c.Dated(when)
	data, err := json.Marshal(after)
	if err != nil {
		t.Fatal(err)
	}
	return domain.Event{ScheduleID: after.ID, Version: after.Version, Type: c.Type, Data: data, At: when}
}

// applied dates a change and returns the schedule after it.
func applied(t testing.TB, before domain.Schedule, c domain.Change, when time.Time) domain.Schedule {
	t.Helper()
	after, err := domain.Apply(before, eventOf(t, c, when))
	if err != nil {
		t.Fatal(err)
	}
	return after
}
