package room

import (
	"testing"
	"time"
)

// TestAwaySinks keep nobody out once they have taken nothing for five seconds, and do again when they take something.
func TestAwaySinks(t *testing.T) {
	t.Parallel()
	var r Room
	start := time.Now()
	for _, c := range []struct {
		after    time.Duration
		at, more int64 // of the sink that is full
		want     bool
	}{
		{0, 1, 0, false},
		{awayAfter, 1, 0, false},
		{awayAfter + 1, 1, 0, true},
		{time.Hour, 1, Most, false}, // for another sink, which is not away
		{2 * time.Hour, 1, 0, true},
		{2*time.Hour + 1, 2, 0, false},
	} {
		got := r.heard([]waiting{{"a", c.at, Most}, {"b", 7, c.more}}, 0, start.Add(c.after)) < Most
		if got != c.want {
			t.Errorf("%v after it was full first, at %d: room is %v", c.after, c.at, got)
		}
	}
}
