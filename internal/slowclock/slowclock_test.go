package slowclock

import (
	"testing"
	"time"
)

// TestClock has one clock ahead, or both of them: what is about to be forgotten is as young as the slowest says.
func TestClock(t *testing.T) {
	t.Parallel()
	const month = 30 * 24 * time.Hour
	began := time.Now()
	for name, c := range map[string]struct{ postgres, host, want time.Duration }{
		"both go":                  {time.Minute, time.Minute, time.Minute},
		"Postgres is ahead":        {month, time.Minute, time.Minute},
		"Postgres is behind":       {-month, time.Minute, -month},
		"Postgres is a bit behind": {time.Second, time.Minute, time.Second},
	} {
		var clock Clock
		clock.Now(began, began)
		if got := clock.Now(began.Add(c.postgres), began.Add(c.host)).Sub(began); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	var clock Clock
	clock.Now(began, began)
	if got := clock.Now(began.Add(month), time.Now()).Sub(began); got > time.Minute {
		t.Errorf("both clocks have stepped, and the monotonic one says so: %s", got)
	}
}

// TestBelieved has PostgreSQL's clock jump ahead and back, and ahead for good.
func TestBelieved(t *testing.T) {
	t.Parallel()
	began := time.Now()
	var c Clock
	for _, step := range []struct{ passed, postgres, want time.Duration }{
		{0, 0, 0},
		{time.Minute, time.Hour, time.Minute},
		{2 * time.Minute, 61 * time.Minute, 2 * time.Minute},
		{3 * time.Minute, 3 * time.Minute, 3 * time.Minute},
		{4 * time.Minute, -time.Hour, -time.Hour},
		{5 * time.Minute, -59 * time.Minute, -59 * time.Minute},
		{6 * time.Minute, 6 * time.Minute, -58 * time.Minute},
		{67 * time.Minute, 67 * time.Minute, 67 * time.Minute},
	} {
		if got := c.Believed(began.Add(step.postgres), began.Add(step.passed)).Sub(began); got != step.want {
			t.Errorf("%s passed, and PostgreSQL's clock says %s: %s, want %s", step.passed, step.postgres, got, step.want)
		}
	}
	var late Clock
	if got := late.Believed(began.Add(time.Hour), began).Sub(began); got != 0 {
		t.Errorf("a process that starts while the clock is ahead believes %s of it", got)
	}
}
