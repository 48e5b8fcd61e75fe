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
