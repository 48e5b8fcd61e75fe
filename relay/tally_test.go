package relay

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

// TestToldWithGrowingPauses repeats failures of two kinds, with other numbers in their texts each time.
func TestToldWithGrowingPauses(t *testing.T) {
	t.Parallel()
	var tally tally
	now, times := time.Now(), 0
	for second := range 3600 {
		for _, err := range []error{fmt.Errorf("dial 127.0.0.1:%d", 40000+second), errors.New("no answer")} {
			if tally.failed(err, now) {
				times++
			}
		}
		now = now.Add(time.Second)
	}
	if times < 10 || times > 30 {
		t.Errorf("told %d times in an hour", times)
	}
	if was, served := tally.over(); served {
		t.Errorf("what goes on is over: %+v", was)
	}
	tally.rests()
	tally.agrees()
	was, served := tally.over()
	if took := now.Sub(was.since); !served || was.failed != 7200 || took != time.Hour {
		t.Errorf("the trouble: over %t, %d failures within %s", served, was.failed, took)
	}
	if was, served := tally.over(); served {
		t.Errorf("it is over twice: %+v", was)
	}
	if !tally.failed(errors.New("no answer"), now) {
		t.Error("after it was served, the same is news")
	}
}

// TestTheReadingIsFreshWhileNothingIsDelivered has rows that wait for a sink that cannot be reached. It stays known
// since when they wait, and that PostgreSQL answers.
func TestTheReadingIsFreshWhileNothingIsDelivered(t *testing.T) {
	t.Parallel()
	var tally tally
	since, before := time.Now().Add(-time.Minute), time.Now().Add(-time.Hour)
	tally.do(func(s *Stats) { s.Unpublished, s.Known, s.Unsure = since, before, true })
	tally.pending = []time.Time{since}
	tally.lags(time.Time{})
	if s := tally.get(); !s.Unpublished.Equal(since) || s.Known.Equal(before) || s.Unsure {
		t.Errorf("%+v", s)
	}
}

// TestMovesAreToldWithGrowingPauses moves the sink every second for an hour, and once more a day later.
func TestMovesAreToldWithGrowingPauses(t *testing.T) {
	t.Parallel()
	var m moves
	now, told, all := time.Now(), 0, 0
	if times, tell := m.note(now); !tell || times != 1 {
		t.Errorf("the first is told: %t, as %d", tell, times)
	}
	for range 3600 {
		now = now.Add(time.Second)
		if times, tell := m.note(now); tell {
			told, all = told+1, all+times
		}
	}
	if told < 5 || told > 15 || all < 3000 {
		t.Errorf("told %d times of %d in an hour", told, all)
	}
	if times, tell := m.note(now.Add(24 * time.Hour)); !tell || times != 1 {
		t.Errorf("after a day it is told: %t, as %d", tell, times)
	}
}
