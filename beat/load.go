package beat

import (
	"context"
	"time"
)

// load reads every schedule that may fire into an empty memory, in one statement and so in one snapshot. Everything up
// to the watermark has been settled by whoever had the lease.
func (b *Beat) load(ctx context.Context, watermark micros) error {
	began := time.Now()
	loaded := newMemory()
	for r, err := range readRows(ctx, b.pool, livingRows) {
		if err != nil {
			return err
		}
		if err := loaded.put(r, watermark); err != nil {
			b.unreadable[r.id] = unreadable{r.version, err}
		}
	}
	loaded.pass(watermark)
	b.memory = loaded
	b.log.Info("loaded", "schedules", loaded.len(), "took", time.Since(began))
	return nil
}
