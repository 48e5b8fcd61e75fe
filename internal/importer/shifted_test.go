package importer

import (
	"testing"
	"time"
)

// TestOneClockIsPastWhatTheOtherIsNot compares a time of two zones, nine o'clock on Mondays, between the two instants
// that it is on a Monday.
func TestOneClockIsPastWhatTheOtherIsNot(t *testing.T) {
	t.Parallel()
	mondays := func(from, hour, n int) (due []time.Time) {
		for week := range n {
			due = append(due, time.Date(2026, 11, 30+7*(from+week), hour, 0, 0, 0, time.UTC))
		}
		return due
	}
	london, berlin := mondays(0, 9, 20), mondays(1, 8, 20)
	tuesdays := mondays(0, 9, 20)
	for i := range tuesdays {
		tuesdays[i] = tuesdays[i].AddDate(0, 0, 3)
	}
	for _, c := range []struct {
		a, b []time.Time
		want bool
	}{
		{london, berlin, true},
		{berlin, london, true},
		{london, mondays(0, 8, 20), true},
		{london, append(mondays(0, 8, 5), tuesdays[5:]...), false},
		{append(london[:1:1], tuesdays...), london, false},
		{london, nil, false},
	} {
		if got := shifted(c.a, c.b); got != c.want {
			t.Errorf("%v, %v: %v", c.a, c.b, got)
		}
	}
}
