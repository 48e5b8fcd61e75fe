package results

import (
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/revoke"
)

// TestAStreamHasItForGood cancels a run that was just handed over to a stream, and one that was not. A stream never
// answers, so the first run has already ended, and there is no worker that could revoke it.
func TestAStreamHasItForGood(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	schedule := s.schedule(t, domain.Definition{Stream: "orders"})
	handed, waiting := s.run(t, schedule, domain.Sent, time.Second), s.run(t, schedule, domain.Due, time.Second)
	done, err := revoke.Cancel(t.Context(), s.pool, revoke.Order{IDs: []domain.ID{handed, waiting}})
	if err != nil || len(done) != 2 || done[0].Outcome != revoke.Stream || done[1].Outcome != revoke.Settled {
		t.Errorf("%+v, %v", done, err)
	}
	if r := s.row(t, handed); r.Status != "sent" {
		t.Errorf("%+v", r)
	}
	var told []domain.ID
	if err := s.pool.QueryRow(t.Context(), `select coalesce(array_agg(run_id), '{}') from tactus.cancellations`).Scan(&told); err != nil ||
		len(told) != 1 || told[0] != waiting {
		t.Errorf("workers are told of %v; %v", told, err)
	}
}
