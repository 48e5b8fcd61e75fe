package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/outbox"
)

// entries reads both parts of schedules by one query: they are in one database.
const entries = `
select f.schedule_id, f.period_type, f.from_date::text, f.to_date::text, f.codes, f.market,
    (select max(fired_at) from tactus.runs where schedule_id = s.id and status not in ('missed', 'skipped', 'excluded')), count(*) over ()
from listed_info_fetches f join tactus.schedules s on s.id = f.schedule_id
where (@id::uuid is null or s.id = @id) and (s.enabled or not @enabled_only)
order by s.created_at desc, s.id limit @limit::bigint offset @offset::bigint`

func (s store) list(ctx context.Context, enabledOnly bool, limit, offset int) (found []entry, total int64, err error) {
	rows, err := s.pool.Query(ctx, entries, pgx.NamedArgs{"id": nil, "enabled_only": enabledOnly, "limit": limit, "offset": offset})
	return s.collect(ctx, rows, err)
}

func (s store) get(ctx context.Context, id domain.ID) (entry, error) {
	rows, err := s.pool.Query(ctx, entries, pgx.NamedArgs{"id": id, "enabled_only": false, "limit": 1, "offset": 0})
	found, _, err := s.collect(ctx, rows, err)
	if err != nil {
		return entry{}, err
	}
	if len(found) == 0 {
		return entry{}, domain.ErrNotFound
	}
	return found[0], nil
}

func (s store) collect(ctx context.Context, rows pgx.Rows, err error) (found []entry, total int64, _ error) {
	if err != nil {
		return nil, 0, fmt.Errorf("read schedules: %w", err)
	}
	found, err = pgx.AppendRows([]entry{}, rows, func(row pgx.CollectableRow) (e entry, err error) {
		err = row.Scan(&e.ID, &e.PeriodType, &e.FromDate, &e.ToDate, &e.Codes, &e.Market, &e.LastRunAt, &total)
		return e, err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("read schedules: %w", err)
	}
	for i := range found {
		schedule, err := outbox.Get(ctx, s.pool, found[i].ID)
		if err != nil {
			return nil, 0, err
		}
		found[i].show(schedule)
	}
	return found, total, nil
}

func (e *entry) show(s domain.Schedule) {
	e.Name, e.TaskName, e.CronExpression, e.Enabled = s.Name, s.TaskName, s.CronExpression, s.IsEnabled()
	e.Description, e.Category, e.Tags, e.Kwargs = s.Description, s.Category, s.Tags, e.fetch
	e.CreatedAt, e.UpdatedAt = s.CreatedAt, s.UpdatedAt
	if next, ok := s.Next(time.Now()); ok {
		e.NextRunAt = &next
	}
}

// execution is one entry of a history.
type execution struct {
	ID         domain.ID       `json:"id"`
	ExecutedAt time.Time       `json:"executed_at"`
	Status     string          `json:"status"`
	StartedAt  *time.Time      `json:"started_at"`
	FinishedAt *time.Time      `json:"completed_at"`
	Result     json.RawMessage `json:"result"`
	Error      *string         `json:"error"`
}

const runs = `
select id, fired_at, status, started_at, finished_at, result, error from tactus.runs
where schedule_id = $1 order by due_at desc, id desc limit $2::bigint offset $3::bigint`

func (s store) history(
	ctx context.Context, id domain.ID, limit, offset int,
) (found []execution, total int64, err error) {
	rows, err := s.pool.Query(ctx, runs, id, limit, offset)
	if err != nil {
		return nil, 0, fmt.Errorf("read history: %w", err)
	}
	if found, err = pgx.AppendRows([]execution{}, rows, pgx.RowToStructByPos[execution]); err != nil {
		return nil, 0, fmt.Errorf("read history: %w", err)
	}
	err = s.pool.QueryRow(ctx, `select count(*) from tactus.runs where schedule_id = $1`, id).Scan(&total)
	return found, total, err
}
