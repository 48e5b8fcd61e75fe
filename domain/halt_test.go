package domain

import (
	"strings"
	"testing"
	"time"
)

func halted(t *testing.T) (Schedule, time.Time) {
	t.Helper()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	d, _, err := Definition{Name: "a", CronExpression: "0 * * * *", TaskName: "app.a"}.Normalize(Context{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return Create(ID{1}, d).Dated(now), now
}

// TestPause disables and enables a schedule in all ways, and compares what is left of the pause.
func TestPause(t *testing.T) {
	t.Parallel()
	s, now := halted(t)
	later := now.Add(time.Minute)
	until := now.Add(90 * time.Minute)
	pause := Pause{By: "alice", Reason: "freeze", Group: "g1", Until: until}
	c, changed := s.Disable(pause)
	if paused := c.Dated(later); !changed || c.Type != ScheduleDisabled || paused.Halt != (Halt{
		PausedAt: later, PausedUntil: until, PausedBy: "alice", PauseReason: "freeze", PauseGroup: "g1",
	}) {
		t.Errorf("paused: %+v", paused.Halt)
	}
	paused := c.Dated(later)
	if _, again := paused.Disable(pause); again {
		t.Error("the same pause is another change")
	}
	if _, again := paused.SetEnabled(false); again {
		t.Error("a disabled schedule is disabled once more")
	}
	if c, changed := paused.Disable(Pause{Reason: "other"}); !changed || c.Dated(until).PausedAt != later ||
		!c.Dated(until).PausedUntil.IsZero() {
		t.Errorf("said anew: %+v", c.Dated(until).Halt)
	}
	resumed, changed := paused.Resume()
	if after := resumed.Dated(until.Add(time.Hour)); !changed || !after.IsEnabled() || after.Halt != (Halt{}) ||
		after.EffectiveFrom != until.Add(-time.Microsecond) {
		t.Errorf("resumed: %+v, from %s", after.Halt, after.EffectiveFrom)
	}
	enabled, _ := paused.SetEnabled(true)
	if after := enabled.Dated(until); after.Halt != (Halt{}) || after.EffectiveFrom != until {
		t.Errorf("enabled: %+v, from %s", after.Halt, after.EffectiveFrom)
	}
	described := paused.Definition
	described.Description = "x"
	if c, _ := paused.Redefine(described); c.Halts || c.After.Halt != paused.Halt {
		t.Errorf("an edit of a paused schedule: %+v", c.After.Halt)
	}
	described.Enabled = nil
	if c, _ := paused.Redefine(described); !c.Halts || c.After.Halt != (Halt{}) {
		t.Errorf("an edit that enables: %+v", c.After.Halt)
	}
}

// TestSkip skips due times, and has edits end the skip or leave it.
func TestSkip(t *testing.T) {
	t.Parallel()
	s, now := halted(t)
	c, changed, err := s.Skip(2, "bob", "release", now)
	skips := c.Dated(now)
	if err != nil || !changed || skips.SkipUntil != now.Add(2*time.Hour) || skips.SkippedBy != "bob" {
		t.Fatalf("%+v, %v", skips.Halt, err)
	}
	if next, ok := skips.Next(now); !ok || next != now.Add(3*time.Hour) {
		t.Errorf("next due %s", next)
	}
	if !strings.Contains(skips.Policy().String(), `"skip":"2026-03-01T14:00:00Z"`) {
		t.Errorf("policy %s", skips.Policy())
	}
	if c, _, _ := skips.Skip(1, "", "", now); c.After.SkipUntil != now.Add(3*time.Hour) {
		t.Errorf("one more: until %s", c.After.SkipUntil)
	}
	if c, changed, _ := skips.Skip(0, "", "", now); !changed || c.After.Halt != (Halt{}) {
		t.Errorf("taken back: %+v", c.After.Halt)
	}
	moved := skips.Definition
	moved.CronExpression = "30 * * * *"
	if c, _ := skips.Redefine(moved); !c.Halts || c.After.Halt != (Halt{}) {
		t.Errorf("another trigger: %+v", c.After.Halt)
	}
	off, _ := s.SetEnabled(false)
	if _, _, err := off.Dated(now).Skip(1, "", "", now); FaultsOf(err)[0].Code != "nothing_due" {
		t.Errorf("a disabled one: %v", err)
	}
	if _, _, err := s.Skip(1001, "", strings.Repeat("x", 1001), now); len(FaultsOf(err)) != 2 {
		t.Errorf("too much: %v", err)
	}
}
