package projection

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/cursor"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// Difference describes a row that differs from what the events say.
type Difference struct {
	ID      domain.ID
	Version int64    // the version of the newest event; 0 when there is none
	Is      int64    // the version of the row; 0 when there is none
	What    []string // the differences, in words
	row     *Row     // the correct row; nil when there should be none, or its event cannot be read
	event   bool     // whether there is an event
}

// Config configures a rebuild.
type Config struct {
	Swap bool                   // correct the rows that differ
	Tell func(Difference) error // called for each difference; may be nil
}

// Result counts what a rebuild has found and done.
type Result struct {
	Schedules int64 // schedules with events
	Different int64 // rows that differ, are missing, or have no event
	Replaced  int64 // rows corrected
	Left      int64 // rows that cannot be rebuilt, or were changed in the meantime and are left to the next rebuild
}

// Rebuild computes all rows from the events and compares them with the table. With config.Swap it corrects the table.
func Rebuild(ctx context.Context, pool *pgxpool.Pool, config Config) (r Result, err error) {
	if err := r.calendars(ctx, pool, config); err != nil {
		return r, err
	}
	if err := r.rules(ctx, pool, config); err != nil {
		return r, err
	}
	if err := r.backfills(ctx, pool, config); err != nil {
		return r, err
	}
	b := newBeside(pool)
	if config.Swap {
		if err := clearLeft(ctx, pool); err != nil {
			return r, err
		}
	}
	defer b.drop(ctx)
	err = pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly},
		func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, unhurried); err != nil {
				return fmt.Errorf("lift the time limits: %w", err)
			}
			if err := b.claim(ctx, tx); err != nil {
				return err
			}
			if err := r.compare(ctx, tx, config, b); err != nil || !config.Swap {
				return err
			}
			replaced, err := b.swap(ctx) // while this transaction still holds the claim on the second table
			r.Replaced += replaced
			r.Left = r.Different - r.Replaced
			return err
		})
	return r, err
}

// unhurried lifts the time limits of the session for this transaction, which lasts as long as the whole rebuild.
const unhurried = `select set_config('statement_timeout', '0', true), set_config('idle_in_transaction_session_timeout', '0', true)`

func (r *Result) compare(ctx context.Context, tx pgx.Tx, config Config, b *beside) error {
	for d, err := range compare(ctx, tx, &r.Schedules) {
		if err != nil {
			return fmt.Errorf("compare the projection: %w", err)
		}
		if r.Different++; config.Tell != nil {
			if err := config.Tell(d); err != nil {
				return err
			}
		}
		if config.Swap && d.mendable() {
			if err := b.add(ctx, d); err != nil {
				return err
			}
		}
	}
	return nil
}

// mendable reports whether the correct state of the row is known.
func (d Difference) mendable() bool { return d.row != nil || !d.event }

// newestEvents selects the newest event of each schedule. An event's data is the whole schedule.
const newestEvents = `
select distinct on (aggregate_id) aggregate_id, version, type, data, ` + sqlexpr.OccurredAt + `
from tactus.outbox where topic = 'schedule' and type not like 'calendar.%' order by aggregate_id, version desc, position desc`

type newestEvent struct {
	ID      domain.ID
	Version int64
	Type    domain.EventType
	Data    json.RawMessage
	At      time.Time
}

// compare merges events and rows, both in the order of ids, and yields the differences.
func compare(ctx context.Context, tx pgx.Tx, schedules *int64) iter.Seq2[Difference, error] {
	return func(yield func(Difference, error) bool) {
		nextRow, stop := iter.Pull2(cursor.Rows[Row](ctx, tx, "rows", Select+` order by id`))
		defer stop()
		is, err, more := nextRow()
		if err != nil { // the transaction is aborted: further errors would only say so
			yield(Difference{}, err)
			return
		}
		for e, eventErr := range cursor.Rows[newestEvent](ctx, tx, "events", newestEvents) {
			if eventErr != nil {
				yield(Difference{}, eventErr)
				return
			}
			*schedules++
			for more && err == nil && bytes.Compare(is.ID[:], e.ID[:]) < 0 {
				if !yield(unknown(is), nil) {
					return
				}
				is, err, more = nextRow()
			}
			if err != nil {
				yield(Difference{}, err)
				return
			}
			var there *Row
			if more && is.ID == e.ID {
				row := is
				there = &row
				is, err, more = nextRow()
			}
			if d := e.against(there); len(d.What) > 0 && !yield(d, nil) {
				return
			}
		}
		for ; more && err == nil; is, err, more = nextRow() {
			if !yield(unknown(is), nil) {
				return
			}
		}
		if err != nil {
			yield(Difference{}, err)
		}
	}
}

func unknown(is Row) Difference {
	return Difference{ID: is.ID, Is: is.Version, What: []string{"there is a row and no event"}}
}

// against compares what the event says with the row; is is nil when there is no row.
func (e newestEvent) against(is *Row) Difference {
	d := Difference{ID: e.ID, Version: e.Version, event: true}
	if is != nil {
		d.Is = is.Version
	}
	before := domain.Schedule{ID: e.ID, Version: e.Version - 1}
	s, err := domain.Apply(before,
		domain.Event{ScheduleID: e.ID, Version: e.Version, Type: e.Type, Data: e.Data, At: e.At})
	if err != nil {
		d.What = []string{"it cannot be rebuilt: " + err.Error()}
		return d
	}
	row, err := Of(s)
	switch {
	case err != nil:
		d.What = []string{"it cannot be rebuilt: " + err.Error()}
		return d
	case is == nil:
		d.What = []string{"there are events and no row"}
	default:
		d.What = is.Differences(row)
	}
	d.row = &row
	return d
}
