package beat

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestClock carries Postgres' time on, through anchors that are late, early and hours off.
func TestClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		var c clock
		for _, step := range []struct {
			what    string
			passes  time.Duration // on this machine
			says    time.Duration // Postgres, of its time since the beginning; negative when it is not asked
			want    time.Duration
			wantFor string
		}{
			{"first asked", 0, 0, 0, "Postgres' time"},
			{"not asked", 3 * time.Second, -1, 3 * time.Second, "carried on"},
			{"we were slow", time.Second, 5 * time.Second, 5 * time.Second, "anchored"},
			{"the answer was long on its way", time.Second, 5900 * time.Millisecond, 6*time.Second - 100*time.Millisecond, "never early"},
			{"a step forward", time.Second, time.Hour, time.Hour, "as Postgres says"},
			{"a step back", time.Second, 10 * time.Second, time.Hour, "never backwards"},
			{"not asked", time.Hour, -1, time.Hour + 10*time.Second, "it goes on when Postgres is there again"},
		} {
			time.Sleep(step.passes)
			if step.says >= 0 {
				c.anchor(server.Add(step.says))
				if got, want := c.ahead(), time.Since(server.Add(step.says)); got != want {
					t.Errorf("%s: the local clock is %s ahead, want %s", step.what, got, want)
				}
			}
			if got := c.now().Sub(server); got != step.want {
				t.Errorf("%s: %s since the beginning, want %s: %s", step.what, got, step.want, step.wantFor)
			}
		}
	})
}
