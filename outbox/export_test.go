package outbox

import "context"

// DropRunPartition drops without looking first, as when a row came between the look and the lock.
func DropRunPartition(ctx context.Context, q querier, name string, seen ...Snapshot) (Upkeep, error) {
	var did Upkeep
	err := did.dropped(name, execute(ctx, q, drop("outbox_run", name, unseen(name, seen))))
	return did, err
}
