package beat

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/domain"
)

// whoSkipsSQL reads who skips due times of some schedules, and why.
const whoSkipsSQL = `
select id, coalesce(' by ' || skipped_by, '') || coalesce(': ' || skip_reason, '') from tactus.schedules
where id = any (@ids::uuid[])`

// sayWhoSkips adds to the reasons of due times that are skipped by hand who skips them, and why. Memory only knows
// until when a schedule is skipped; since few schedules ever are, the rest is read when it is needed.
func (b *Beat) sayWhoSkips(ctx context.Context, decisions []memory.Decision) error {
	var ids []domain.ID
	for i := range decisions {
		if decisions[i].Reason == domain.ReasonSkipped {
			ids = append(ids, decisions[i].Schedule)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	rows, err := b.pool.Query(ctx, whoSkipsSQL, planned, named{"ids": ids})
	if err != nil {
		return fmt.Errorf("read who skips: %w", err)
	}
	words := map[domain.ID]string{}
	var id domain.ID
	var said string
	if _, err := pgx.ForEachRow(rows, []any{&id, &said}, func() error {
		words[id] = said
		return nil
	}); err != nil {
		return fmt.Errorf("read who skips: %w", err)
	}
	for i := range decisions {
		if d := &decisions[i]; d.Reason == domain.ReasonSkipped {
			d.Reason += words[d.Schedule]
		}
	}
	return nil
}
