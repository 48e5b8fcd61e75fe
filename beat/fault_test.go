package beat

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestLostAnswer fires through a network that delivers the statement to PostgreSQL and loses the answer, and through
// one that loses the statement.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	for lost, direction := range map[string]testenv.Direction{"answer": testenv.ToClient, "statement": testenv.ToServer} {
		committed := direction == testenv.ToClient
		t.Run(lost, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			s := w.create(minutely(`, "max_runs": 3`))
			proxy, url := testenv.Through(t, w.url)
			b, a := w.beatOver(testenv.Connect(t, url), "a"), at{s}
			w.step(b, a.due(1))
			w.setClock(a.due(2))
			proxy.BlackHole(direction)
			err := w.unanswered(committed, func(ctx context.Context) error {
				return b.fireUnanswered(ctx, a.due(2).UnixMicro())
			}, func() error { return w.expect(s.ID, a.run(1), a.run(2)) })
			if err == nil {
				t.Fatal("firing told of no error")
			}
			proxy.Reset()
			proxy.Heal()
			w.step(b, a.due(2).Add(time.Second))
			if err := w.expect(s.ID, a.run(1), a.run(2)); err != nil {
				t.Error(err)
			}
			w.step(b, a.due(3))
			w.step(b, a.due(4))
			if err := w.expect(s.ID, a.run(1), a.run(2), a.run(3)); err != nil {
				t.Errorf("miscounted: %v", err)
			}
			if n := w.count(`select count(*) from tactus.outbox where topic = 'run'`); n != 3 {
				t.Errorf("%d events", n)
			}
		})
	}
}

// unanswered calls do through a network that loses statements or their answers. It cancels do when the statement was
// committed, or after a while if the statement does not arrive.
func (w *world) unanswered(arrives bool, do func(context.Context) error, committed func() error) error {
	w.Helper()
	ctx, giveUp := context.WithCancel(w.Context())
	if !arrives {
		ctx, giveUp = context.WithTimeout(w.Context(), 2*time.Second)
	}
	defer giveUp()
	ended := make(chan error, 1)
	go func() { ended <- do(ctx) }()
	if arrives {
		testenv.Eventually(w, "committed without an answer", committed)
		giveUp()
	}
	return <-ended
}

// fireUnanswered is fire without the look for locks, whose answer would be lost instead.
func (b *Beat) fireUnanswered(ctx context.Context, now memory.Micros) error {
	due, err := b.collect(ctx, now)
	if err != nil {
		return err
	}
	defer b.putBack(&due)
	_, err = b.settleOrBisect(ctx, due.decisions)
	b.lease.unanswered, b.lease.askAt = true, now
	return err
}

// TestLostAnswerOfMissed loses the answer to a statement that recorded a range of missed due times. When the beat
// decides again, more due times have been missed. Each has a run or a reason in the end, and none has both.
func TestLostAnswerOfMissed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.create(minutely(``))
	proxy, url := testenv.Through(t, w.url)
	b, a := w.beatOver(testenv.Connect(t, url), "a"), at{s}
	w.step(b, a.due(1))
	w.step(b, a.due(5).Add(30*time.Second)) // so that the connection knows the statement whose answer is lost
	w.setClock(a.due(11).Add(30 * time.Second))
	proxy.BlackHole(testenv.ToClient)
	want := []string{
		a.run(1), a.missed(2, 4, domain.ReasonSuperseded), a.run(5), a.missed(6, 10, domain.ReasonSuperseded), a.run(11),
	}
	err := w.unanswered(true, func(ctx context.Context) error {
		return b.fire(ctx, w.now.UnixMicro())
	}, func() error { return w.expect(s.ID, want...) })
	if err == nil {
		t.Fatal("firing told of no error")
	}
	proxy.Reset()
	proxy.Heal()
	w.step(b, a.due(20).Add(30*time.Second))
	if err := w.expect(s.ID, append(want, a.missed(12, 19, domain.ReasonSuperseded), a.run(20))...); err != nil {
		t.Error(err)
	}
	if !b.lease.leading || b.lease.term != 2 {
		t.Errorf("leading: %v, in term %d: the statement that was not answered belongs to term 1", b.lease.leading, b.lease.term)
	}
}

// TestPoisonIsSetAside has one due time among others whose event cannot be made.
func TestPoisonIsSetAside(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.beat("a")
	var bad at
	for n := range 20 {
		s := w.create(minutely(``))
		if n == 13 {
			bad = at{s}
		}
	}
	if _, err := w.pool.Exec(t.Context(), `update tactus.schedules set task = '[1]' where id = $1`, bad.s.ID); err != nil {
		t.Fatal(err)
	}
	w.step(b, w.now.Add(2*time.Second))
	w.step(b, bad.due(1))
	if n := w.count(`select count(*) from tactus.runs where status = 'due'`); n != 19 {
		t.Errorf("%d of 19 others fired", n)
	}
	if diff := cmp.Diff([]string{bad.missed(1, 1, "set aside: it cannot be fired")}, w.runs(bad.s.ID)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if n := w.count(`select count(*) from tactus.deadletters where source = 'beat' and reference like $1 and data::json->>'schedule_id' = $2`, bad.s.ID.String()+"/%", bad.s.ID.String()); n != 1 {
		t.Errorf("%d letters", n)
	}
	w.step(b, bad.due(2))
	if n := w.count(`select count(*) from tactus.runs where status = 'due'`); n != 38 {
		t.Errorf("%d of 38 others fired in two minutes", n)
	}
}
