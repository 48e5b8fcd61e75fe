package outbox

import (
	"context"
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// DropRunPartition drops without looking first, as when a row came between the look and the lock.
func DropRunPartition(ctx context.Context, q Querier, name string, seen ...Snapshot) (Upkeep, error) {
	var did Upkeep
	err := did.dropped(name, execute(ctx, q, drop("outbox_run", name, unseen(name, seen))))
	return did, err
}

// KeepTurn lets the write that has the turn keep it for as long as it waits, and reports whether one has it.
func (s *Store) KeepTurn() bool {
	s.turn.mu.Lock()
	defer s.turn.mu.Unlock()
	if s.turn.since.IsZero() {
		return false
	}
	s.turn.since = time.Now().Add(time.Hour)
	return true
}

// NextUnjudged returns what a store judges next, and whether there is more.
func (s *Store) NextUnjudged(ctx context.Context) ([]domain.ID, bool, error) {
	batch, more, err := s.nextUnjudged(ctx, nil)
	return idsOf(batch), more, err
}

// JudgeSound judges what is sound, and returns how many schedules it left.
func (s *Store) JudgeSound(ctx context.Context) (int, error) {
	doubtful, err := s.judgeSound(ctx)
	return len(doubtful), err
}
