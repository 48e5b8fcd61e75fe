package beat

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// TestFiresWhatIsTooMuchAtOnce has so many due times at one instant that one statement for all of them exceeds its time
// limit. They are settled by smaller statements, each once.
func TestFiresWhatIsTooMuchAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const many = 200
	s := w.create(minutely(""))
	for n := range many - 1 {
		w.create(minutely(fmt.Sprintf(`, "name": "%d"`, n)))
	}
	b, a := w.beat("a"), at{s}
	w.step(b, a.due(1).Add(-time.Second))
	w.execute(`
		create function own.slow() returns trigger language plpgsql as 'begin perform pg_sleep(0.02); return new; end';
		create trigger slow before insert on tactus.runs for each row execute function own.slow()`)
	w.setClock(a.due(1))
	now := a.due(1).UnixMicro()
	failures := 0
	for range 2 * many {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		err := b.fire(ctx, now)
		cancel()
		if err != nil {
			failures++
			if err := b.renew(t.Context(), now); err != nil {
				t.Fatal(err)
			}
		}
		if b.memory.NextFire() > now {
			break
		}
	}
	if n := w.count(`select count(*) from tactus.runs where due_at = $1`, a.due(1)); n != many || failures == 0 {
		t.Errorf("%d of %d have fired, after %d failures", n, many, failures)
	}
	if n := w.count(`select count(*) from tactus.outbox where topic = 'run'`); n != many {
		t.Errorf("%d events", n)
	}
}

// TestFiringsGrowAndShrink follows the size of firings.
func TestFiringsGrowAndShrink(t *testing.T) {
	t.Parallel()
	var p pacing
	for n, step := range []struct {
		do   func()
		want int
	}{
		{func() {}, 5000},
		{func() { p.took(5000, time.Second) }, 5000},
		{func() { p.took(5000, 3*time.Second) }, 2500},
		{func() { p.took(2500, time.Second) }, 2500},
		{func() { p.took(10, time.Millisecond) }, 5000},
		{func() { p.failed(4000, context.DeadlineExceeded) }, 312},
		{func() { p.failed(312, fmt.Errorf("the connection is gone")) }, 312},
		{func() { p.failed(312, context.DeadlineExceeded) }, 39},
		{func() { p.failed(39, context.DeadlineExceeded) }, 4},
		{func() { p.failed(4, context.DeadlineExceeded) }, 1},
		{func() { p.failed(1, context.DeadlineExceeded) }, 1},
		{func() { p.took(1, time.Minute) }, 1},
		{func() { p.took(1, time.Millisecond) }, 2},
	} {
		if step.do(); p.size() != step.want {
			t.Errorf("step %d: at most %d, want %d", n, p.size(), step.want)
		}
	}
}
