package beat

import (
	"context"
	"time"

	"github.com/tactus-dev/tactus/beat/memory"
)

// load reads every schedule that may fire into an empty memory. One statement reads them all, so they are from one
// snapshot. What fires up to the watermark was settled by the beats that held the lease before. Calendars are read by
// the steps that follow, one in each.
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
