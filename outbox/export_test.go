package outbox

import (
	"context"
	"time"
)

// DropRunPartition drops without looking first, as when a row came between the look and the lock.
func DropRunPartition(ctx context.Context, q Querier, name string, seen ...Snapshot) (Upkeep, error) {
	var did Upkeep
	err := did.dropped(name, execute(ctx, q, drop("outbox_run", name, unseen(name, seen))))
	return did, err
}

// KeepTurn lets the write that has the turn keep it, however long it waits.
func (s *Store) KeepTurn() {
	s.turn.mu.Lock()
	defer s.turn.mu.Unlock()
	s.turn.since = time.Now().Add(time.Hour)
}
