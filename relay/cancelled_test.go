package relay_test

import (
	"slices"
	"testing"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/revoke"
)

// TestCancelledRunsAreNotHandedOver cancels runs before a relay starts, and one that the relay has handed over.
func TestCancelledRunsAreNotHandedOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	all := w.fire(t, "q", 5)
	cancel := func(texts ...string) []revoke.Cancelled {
		var ids []domain.ID
		for _, text := range texts {
			id, err := domain.ParseID(text)
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
		}
		done, err := revoke.Cancel(t.Context(), w.pool, revoke.Order{IDs: ids})
		if err != nil {
			t.Fatal(err)
		}
		return done
	}
	done := cancel(all[1], all[3], all[1], "00000000-0000-7000-8000-000000000000")
	if len(done) != 3 || done[0].Outcome != revoke.Settled || done[1].Status != domain.Revoked || done[2].Outcome != revoke.NotFound {
		t.Errorf("%+v", done)
	}
	w.carry(t, w.tasks(t))
	left := slices.DeleteFunc(slices.Clone(all), func(id string) bool { return id == all[1] || id == all[3] })
	w.awaitTasks(t, "q", left)
	if n := w.number(t, `select count(*) from tactus.runs where status = 'revoked' and reason is not null and sent_at is null and finished_at is not null`); n != 2 {
		t.Errorf("%d are settled, want 2", n)
	}
	if done := cancel(all[0]); done[0].Outcome != revoke.Told || done[0].Status != domain.Sent {
		t.Errorf("one that was handed over: %+v", done)
	}
	w.awaitTasks(t, "q", append(left, w.fire(t, "q", 2)...))
}
