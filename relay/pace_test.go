package relay

import (
	"slices"
	"testing"
	"time"
)

func TestPace(t *testing.T) {
	t.Parallel()
	var p pace
	now := time.Unix(1_800_000_000, 0)
	p.stir(now)
	var waits []time.Duration
	for range 50 {
		d := p.next(now)
		waits = append(waits, d/time.Millisecond)
		now = now.Add(d)
	}
	// 92 ms in steps, and every 25 ms until a second is over.
	want := slices.Concat([]time.Duration{2, 5, 10, 25, 50}, slices.Repeat([]time.Duration{25}, 37), slices.Repeat([]time.Duration{100}, 8))
	if !slices.Equal(waits, want) {
		t.Errorf("it waits %v", waits)
	}
	p.stir(now)
	if d := p.next(now); d != 2*time.Millisecond {
		t.Errorf("after traffic: %s", d)
	}
}
