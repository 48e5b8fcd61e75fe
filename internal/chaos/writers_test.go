package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/outbox"
)

// writers changes schedules until ctx ends. A change that fails may have been made or not; both are outcomes that the
// faults are to produce.
type writers struct {
	store  *outbox.Store
	w      *world
	mu     sync.Mutex
	ids    []domain.ID
	made   atomic.Int64
	failed atomic.Int64
}

const writerCount, mostSchedules, steadySchedules = 4, 150, 50

// steady makes schedules that nobody changes. An edit excuses an unsettled due time just before it; these have no
// excuse.
func (s *writers) steady() {
	for range steadySchedules {
		_, err := s.store.Create(s.w.t.Context(), domain.Definition{IntervalSeconds: 1, TaskName: "chaos.task", Queue: queue}, "", nil)
		s.w.must(err)
	}
}

func (s *writers) run(ctx context.Context, seed uint64) {
	var wg sync.WaitGroup
	for n := range writerCount {
		random := rand.New(rand.NewPCG(seed, uint64(n)))
		wg.Go(func() {
			for ctx.Err() == nil {
				if err := s.change(ctx, random); err != nil {
					s.failed.Add(1)
				} else {
					s.made.Add(1)
				}
			}
		})
	}
	wg.Wait()
}

func (s *writers) pick(random *rand.Rand) (id domain.ID, count int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.ids) == 0 {
		return id, 0
	}
	return s.ids[random.IntN(len(s.ids))], len(s.ids)
}

func (s *writers) change(ctx context.Context, random *rand.Rand) error {
	id, count := s.pick(random)
	if count < 5 || count < mostSchedules && random.IntN(3) == 0 {
		return s.create(ctx, random)
	}
	switch random.IntN(8) {
	case 0:
		_, err := s.store.Toggle(ctx, id, 0)
		return err
	case 1:
		_, err := s.store.Merge(ctx, id, 0, fmt.Appendf(nil, `{"interval_seconds":%d}`, 1+random.IntN(4)))
		return err
	case 2:
		return s.remove(ctx, id)
	case 3:
		_, err := s.store.Trigger(ctx, id)
		return err
	case 4:
		return s.rollBack(ctx, id)
	case 5:
		return outbox.InTx(ctx, s.w.pool, func(tx pgx.Tx) error {
			_, err := outbox.Enable(ctx, tx, id)
			return err
		})
	default:
		_, err := s.store.Merge(ctx, id, 0, fmt.Appendf(nil, `{"description":"%d"}`, random.Int()))
		return err
	}
}

func (s *writers) create(ctx context.Context, random *rand.Rand) error {
	made, err := s.store.Create(ctx, domain.Definition{IntervalSeconds: float64(1 + random.IntN(4)), TaskName: "chaos.task", Queue: queue}, "", nil)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids = append(s.ids, made.ID)
	return nil
}

func (s *writers) remove(ctx context.Context, id domain.ID) error {
	if err := s.store.Delete(ctx, id, 0); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, other := range s.ids {
		if other == id {
			s.ids = append(s.ids[:i], s.ids[i+1:]...)
			break
		}
	}
	return nil
}

var errChangedMind = errors.New("the writer rolls back on purpose")

func (s *writers) rollBack(ctx context.Context, id domain.ID) error {
	err := pgx.BeginFunc(ctx, s.w.pool, func(tx pgx.Tx) error {
		if _, err := outbox.Disable(ctx, tx, id); err != nil {
			return err
		}
		return errChangedMind
	})
	if errors.Is(err, errChangedMind) {
		return nil
	}
	return err
}
