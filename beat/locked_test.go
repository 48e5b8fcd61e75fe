package beat

import (
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// TestLockedRow has somebody lock the count of one schedule. The others fire, and that one when it is free: nothing
// of it is recorded as missed, and the watermark waits.
func TestLockedRow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one := w.create(minutely(`, "max_runs": 100`))
	var others []domain.Schedule
	for range 20 {
		others = append(others, w.create(minutely(`, "max_runs": 100`)))
	}
	b, a := w.beat("a"), at{one}
	last := at{others[len(others)-1]}
	w.step(b, last.due(1))
	tx, err := w.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	if _, err := tx.Exec(t.Context(), `select from tactus.schedule_counts where schedule_id = $1 for update`, one.ID); err != nil {
		t.Fatal(err)
	}
	for n := 2; n <= 3; n++ {
		w.step(b, last.due(n))
		for _, s := range others {
			if got := w.runs(s.ID); len(got) != n {
				t.Errorf("another has %v", got)
			}
		}
	}
	if err := w.expect(one.ID, a.run(1)); err != nil {
		t.Error(err)
	}
	if got := b.watermark(w.now.UnixMicro()); got >= a.due(2).UnixMicro() {
		t.Errorf("settled up to %v", time.UnixMicro(got))
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.step(b, last.due(3).Add(11*time.Second))
	if err := w.expect(one.ID, a.run(1), a.run(2), a.run(3)); err != nil {
		t.Error(err)
	}
	if len(b.locks.due) > 0 {
		t.Error("still taken for locked")
	}
}
