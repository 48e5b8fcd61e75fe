package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/outbox"
)

// createTable creates this service's own table, beside those of tactus.
const createTable = `
create table if not exists listed_info_fetches (
    schedule_id uuid primary key,
    period_type text not null check (period_type in ('yesterday', '7days', '30days', 'custom')),
    from_date   date check ((period_type = 'custom') = (from_date is not null)),
    to_date     date check (to_date >= from_date),
    codes       text[] not null,
    market      text
)`

// store writes a row and its schedule, both or neither.
type store struct{ pool *pgxpool.Pool }

const putFetch = `
insert into listed_info_fetches (schedule_id, period_type, from_date, to_date, codes, market)
values (@id, @period_type, @from_date::text::date, @to_date::text::date, @codes, @market)
on conflict (schedule_id) do update set period_type = excluded.period_type, from_date = excluded.from_date,
    to_date = excluded.to_date, codes = excluded.codes, market = excluded.market`

func put(ctx context.Context, tx pgx.Tx, id domain.ID, f fetch) error {
	_, err := tx.Exec(ctx, putFetch, pgx.NamedArgs{
		"id": id, "period_type": f.PeriodType, "from_date": f.FromDate, "to_date": f.ToDate, "codes": f.Codes, "market": f.Market,
	})
	return err
}

func (s store) create(ctx context.Context, in request) (id domain.ID, err error) {
	f, d, err := in.onto(fetch{}, domain.Definition{})
	if err == nil {
		err = check(f, d)
	}
	if err != nil {
		return id, err
	}
	err = outbox.InTx(ctx, s.pool, func(tx pgx.Tx) error {
		schedule, err := outbox.Create(ctx, tx, d)
		if err != nil {
			return err
		}
		id = schedule.ID
		return put(ctx, tx, id, f)
	})
	return id, err
}

// check joins the faults of both parts.
func check(f fetch, d domain.Definition) error {
	faults := f.check()
	if d.Name == "" {
		faults = append(faults, &domain.Error{Kind: domain.Invalid, Code: "name_invalid", Field: "/name", Message: "a schedule has a name here"})
	}
	if len(faults) == 0 {
		return nil
	}
	return faults
}

const lockFetch = `
select period_type, from_date::text, to_date::text, codes, market from listed_info_fetches where schedule_id = $1 for update`

// owned reads both parts, and locks ours.
func owned(ctx context.Context, tx pgx.Tx, id domain.ID) (f fetch, s domain.Schedule, err error) {
	err = tx.QueryRow(ctx, lockFetch, id).Scan(&f.PeriodType, &f.FromDate, &f.ToDate, &f.Codes, &f.Market)
	if errors.Is(err, pgx.ErrNoRows) {
		return f, s, domain.ErrNotFound // if there is such a schedule, it is not ours
	}
	if err != nil {
		return f, s, fmt.Errorf("read fetch: %w", err)
	}
	s, err = outbox.Get(ctx, tx, id)
	return f, s, err
}

func (s store) change(ctx context.Context, id domain.ID, in request) error {
	return outbox.InTx(ctx, s.pool, func(tx pgx.Tx) error {
		before, schedule, err := owned(ctx, tx, id)
		if err != nil {
			return err
		}
		f, d, err := in.onto(before, schedule.Definition)
		if err == nil {
			err = check(f, d)
		}
		if err != nil {
			return err
		}
		if _, err := outbox.Update(ctx, tx, id, d); err != nil {
			return err
		}
		return put(ctx, tx, id, f)
	})
}

func (s store) remove(ctx context.Context, id domain.ID) error {
	return outbox.InTx(ctx, s.pool, func(tx pgx.Tx) error {
		deleted, err := tx.Exec(ctx, `delete from listed_info_fetches where schedule_id = $1`, id)
		if err != nil {
			return err
		}
		if deleted.RowsAffected() == 0 {
			return domain.ErrNotFound
		}
		return outbox.Delete(ctx, tx, id)
	})
}

func (s store) toggle(ctx context.Context, id domain.ID) error {
	return outbox.InTx(ctx, s.pool, func(tx pgx.Tx) error {
		_, schedule, err := owned(ctx, tx, id)
		if err != nil {
			return err
		}
		if schedule.IsEnabled() {
			_, err = outbox.Disable(ctx, tx, id)
		} else {
			_, err = outbox.Enable(ctx, tx, id)
		}
		return err
	})
}

// entry is a schedule as this service returns it.
type entry struct {
	ID             domain.ID  `json:"id"`
	Name           string     `json:"name"`
	TaskName       string     `json:"task_name"`
	CronExpression string     `json:"cron_expression"`
	Enabled        bool       `json:"enabled"`
	Description    string     `json:"description"`
	Category       string     `json:"category"`
	Tags           []string   `json:"tags"`
	Kwargs         fetch      `json:"kwargs"`
	CreatedAt      time.Time  `json:"created_at"`
	UpdatedAt      time.Time  `json:"updated_at"`
	LastRunAt      *time.Time `json:"last_run_at"`
	NextRunAt      *time.Time `json:"next_run_at"`
	fetch                     // repeated where clients of this service expect it
}
