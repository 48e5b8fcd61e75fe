package beat

import (
	"context"
	"time"

	"github.com/tactus-dev/tactus/beat/memory"
)

// load reads every schedule that may fire into an empty memory, in one statement and so in one snapshot. Everything up
// to the watermark has been settled by whoever had the lease. Calendars are read by the steps that follow, one in each.
func (b *Beat) load(ctx context.Context, watermark memory.Micros) error {
	began := time.Now()
	loaded := memory.New(b.cfg.Takeover)
	for r, err := range b.livingRows(ctx, allRows, nil) {
		if err != nil {
			return err
		}
		if err := loaded.Put(r, watermark); err != nil {
			b.invalid.found[r.ID] = unreadable{r.Version, err}
		} else {
			b.noteSpent(loaded, r.ID)
		}
	}
	loaded.Await(watermark)
	loaded.AdvanceTo(watermark)
	b.memory = loaded
	b.calendars = calendars{wanted: true, more: loaded.LacksCalendars()}
	b.log.Info("loaded", "schedules", loaded.Len(), "took", time.Since(began))
	return nil
}
