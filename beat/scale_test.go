package beat

import (
	"errors"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestHundredThousandInOneSecond has 100,000 schedules due in one second, and a second beat on the same database.
func TestHundredThousandInOneSecond(t *testing.T) {
	t.Parallel()
	const n = 100_000
	w := newWorld(t)
	fill(t, w.pool, n)
	due := w.now.Add(time.Minute).Truncate(time.Minute)
	_, err := w.pool.Exec(t.Context(), `update tactus.schedules set trigger = '{"every":3600}', effective_from = $1,
		anchor = $2::timestamptz + ('x' || substr(md5(name), 1, 4))::bit(16)::int % 1000 * interval '1 millisecond'`, w.now, due)
	if err != nil {
		t.Fatal(err)
	}
	b, standby := w.beat("a"), w.beat("b")
	w.stepInParts(b, due.Add(time.Second))
	w.stepInParts(standby, due.Add(time.Second))
	runs := w.count(`select count(*) from tactus.runs where status = 'due' and due_at >= $1 and due_at < $2`, due, due.Add(time.Second))
	schedules := w.count(`select count(distinct schedule_id) from tactus.runs`)
	events := w.count(`select count(distinct data->>'run_id') from tactus.outbox where topic = 'run'`)
	if runs != n || schedules != n || events != n {
		t.Errorf("%d runs of %d schedules, %d events; want %d each", runs, schedules, events, n)
	}
	if got := b.memory.Watermark(due.Add(time.Second).UnixMicro()); got != due.Add(time.Second).UnixMicro() {
		t.Errorf("settled until %s", time.UnixMicro(got))
	}
}

// stepInParts steps a beat until all has fired, in smaller firings if the machine is too slow for one.
func (w *world) stepInParts(b *Beat, at time.Time) {
	w.Helper()
	w.setClock(at)
	testenv.Eventually(w, "the beat is done", func() error {
		wake, err := b.step(w.Context(), at.UnixMicro())
		if err != nil && !timedOut(err) {
			w.Fatal(err)
		}
		if err == nil && wake <= at.UnixMicro() {
			err = errors.New("there is more to do")
		}
		return err
	})
}
