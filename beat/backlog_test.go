package beat

import (
	"testing"
	"time"
)

// TestFiringWaitsForSinks checks how many due times may fire while sinks are behind.
func TestFiringWaitsForSinks(t *testing.T) {
	t.Parallel()
	now := time.Now()
	const newest = 1_000_000
	ask := func(l *backlog, after time.Duration, celery, streams int64) int {
		now = now.Add(after)
		return l.update([]sinkPlace{{"celery", newest, newest - celery}, {"streams", newest, newest - streams}}, now)
	}
	l := &backlog{}
	for _, step := range []struct {
		what            string
		after           time.Duration
		celery, streams int64
		leave           int
		behind          int64
	}{
		{"nothing is known of how fast they are", 0, 50_000, 50_000, 0, 50_000},
		{"the slower one gives leave", time.Second, 48_000, 49_000, 1000, 49_000},
		{"one that is not far behind gives all", time.Second, 46_500, freeBacklog, 2500, 46_500},
		{"little is left for later", 10 * time.Millisecond, 46_490, 0, 2510, 46_490},
		{"both have caught up", time.Second, freeBacklog, 0, maxFiringSize, 0},
		{"a deep backlog has to shrink", time.Second, 101_000, 0, 0, 101_000},
		{"so it gives leave for less", time.Second, 100_000, 0, 900, 100_000},
		{"who takes nothing for a while", awayAfter, 100_000, 0, 900, 100_000},
		{"is away, and nobody waits", time.Second, 100_000, 0, maxFiringSize, 0},
		{"when it is back it counts", time.Second, 99_000, 0, 900, 99_000},
	} {
		if leave := ask(l, step.after, step.celery, step.streams); leave != step.leave || l.behind != step.behind {
			t.Errorf("%s: leave for %d at %d behind, want %d at %d", step.what, leave, l.behind, step.leave, step.behind)
		}
	}
	l.took(900, now)
	if ask(l, time.Millisecond, 99_000, 0) != 0 || l.pause(now) != leavePause {
		t.Error("a leave was given twice")
	}
}

// TestFiresWhenASinkHasTakenWhatWasFired has a sink that is first behind, then takes its runs, and then is away.
func TestFiresWhenASinkHasTakenWhatWasFired(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.create(minutely(""))
	b, a := w.beat("a"), at{s}
	w.execute(`
		insert into tactus.relay_sinks (sink, topic, epoch, timeline, system_identifier, confirmed_batch, confirmed_place)
			values ('celery', 'run', 'e', '1', '1', 7, 10);
		insert into tactus.relay_batches (sink, number, epoch, previous, snapshot, row_count, first_position, last_position)
			values ('celery', 7, 'e', '1:1:', '1:1:', 1000, 1, 1000);
		select setval('tactus.outbox_position', 100000)`)
	fires := func(due int, want int64) {
		t.Helper()
		b.backlog.unasked, b.backlog.next = unaskedFirings, time.Time{}
		w.setClock(a.due(due))
		if _, err := b.step(t.Context(), a.due(due).UnixMicro()); err != nil {
			t.Fatal(err)
		}
		if got := b.Stats().Fired; got != want {
			t.Errorf("at due time %d it has fired %d, want %d", due, got, want)
		}
	}
	fires(1, 0)
	if b.Stats().Behind != 99_990 {
		t.Errorf("it says that it is %d behind", b.Stats().Behind)
	}
	w.execute(`update tactus.relay_sinks set confirmed_place = 990`)
	fires(1, 1)
	w.execute(`update tactus.relay_batches set last_position = 99000; update tactus.relay_sinks set confirmed_place = 1000`)
	fires(2, 2)
	if b.Stats().Behind != 0 {
		t.Errorf("it says that it is %d behind", b.Stats().Behind)
	}
	w.execute(`select setval('tactus.outbox_position', 200000)`)
	fires(3, 2)
	for name, sink := range b.backlog.sinks {
		sink.moved = sink.moved.Add(-awayAfter)
		b.backlog.sinks[name] = sink
	}
	fires(3, 3)
}
