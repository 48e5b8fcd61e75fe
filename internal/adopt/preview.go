package adopt

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/oldbeat"
)

// Row is what adopting would do to one schedule.
type Row struct {
	Key        string    `json:"key,omitempty"`
	ScheduleID domain.ID `json:"schedule_id"`
	Name       string    `json:"name"`
	Change     string    `json:"change" enum:"new,changed,same,gone"`
	Enabled    bool      `json:"enabled"`
	Invalid    string    `json:"invalid_reason,omitempty"`
	Trigger    string    `json:"trigger"`
	oldbeat.Comparison
	Definition domain.Definition `json:"-"`
	OwnZone    bool              `json:"-"` // whether the row names its zone
}

// Preview returns what Adopt would do, and what it would delete. It adopts the rows batch by batch in transactions that
// it rolls back.
func (s Source) Preview(ctx context.Context, timezone string, now time.Time) (rows []Row, err error) {
	reads, err := s.reader()
	if err != nil {
		return nil, fmt.Errorf("preview %s: %w", s.Table, err)
	}
	var after *string
	var all []previewRow
	for first := true; first || after != nil; first = false {
		var found []previewRow
		err := s.locked(ctx, func() (err error) {
			found, after, err = s.previewBatch(ctx, timezone, after)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("preview %s: %w", s.Table, err)
		}
		all = append(all, found...)
	}
	for _, f := range all {
		if ran := instantOf(originOf(f.Origin).LastRunAt); ran.After(reads.newest) && !ran.After(now) {
			reads.newest = ran
		}
	}
	for _, f := range all {
		rows = append(rows, f.row(reads, now))
	}
	gone, err := s.gone(ctx)
	if err != nil {
		return nil, fmt.Errorf("preview %s: %w", s.Table, err)
	}
	return append(rows, gone...), nil
}

const noteAdoptionSQL = `
insert into tactus.adoptions (source, kind, timezone) values ($1, $2, $3)
on conflict (source) do update set timezone = excluded.timezone`

// previewedSQL reads what a batch has written. In its transaction now() is the time of the beginning, so whatever the
// batch wrote has this time or a later one.
const previewedSQL = `
select r.key, s.id, s.definition, coalesce(s.invalid_reason, ''), (tactus.adoptee($2, $1, $3, r.key)).origin,
    case when s.created_at >= now() then 'new' when s.updated_at >= now() then 'changed' else 'same' end
from (select id::text as key from %s where %s order by id limit %d) r
join tactus.schedules s on s.id = tactus.adopted_id($1, r.key)`

type previewRow struct {
	Key        string
	ID         domain.ID
	Definition []byte
	Invalid    string
	Origin     []byte
	Change     string
}

func (s Source) previewBatch(ctx context.Context, timezone string, after *string) (rows []previewRow, last *string,
	err error,
) {
	from, args := "true", []any{s.Table, string(s.Kind), timezone}
	if after != nil {
		from, args = "id > $4", append(args, *after)
	}
	batch := &pgx.Batch{}
	batch.Queue(`begin`)
	batch.Queue(noteAdoptionSQL, s.Table, string(s.Kind), timezone)
	batch.Queue(`select tactus.adopt_batch($1, $2, $3)`, s.Table, after,
		batchSize).QueryRow(func(row pgx.Row) error { return row.Scan(&last) })
	batch.Queue(fmt.Sprintf(previewedSQL, s.Table, from, batchSize), args...).Query(func(found pgx.Rows) (err error) {
		rows, err = pgx.CollectRows(found, pgx.RowToStructByPos[previewRow])
		return err
	})
	batch.Queue(`rollback`)
	return rows, last, s.pool.SendBatch(ctx, batch).Close()
}

const goneRowsSQL = `
select s.id, s.name from tactus.schedules s
where s.managed_by = $1 and s.deleted_at is null and s.id not in (select tactus.adopted_id($1, id::text) from %s)`

// gone returns the schedules whose rows have been deleted.
func (s Source) gone(ctx context.Context) (rows []Row, err error) {
	err = s.locked(ctx, func() error {
		batch := &pgx.Batch{}
		batch.Queue(`begin`)
		batch.Queue(checkTableSQL, s.Table, string(s.Kind))
		batch.Queue(fmt.Sprintf(goneRowsSQL, s.Table), s.Table).Query(func(found pgx.Rows) (err error) {
			rows, err = pgx.CollectRows(found, func(row pgx.CollectableRow) (r Row, err error) {
				r.Change = "gone"
				return r, row.Scan(&r.ScheduleID, &r.Name)
			})
			return err
		})
		batch.Queue(`rollback`)
		return s.pool.SendBatch(ctx, batch).Close()
	})
	return rows, err
}

// row describes a schedule that the preview has read. It also reports a trigger that only our engine refuses: SQL
// accepts that trigger, and the beat will refuse it.
func (p previewRow) row(reads reader, now time.Time) Row {
	r := Row{Key: p.Key, ScheduleID: p.ID, Change: p.Change, Invalid: p.Invalid}
	s := domain.Schedule{ID: p.ID, InvalidReason: p.Invalid}
	if err := json.Unmarshal(p.Definition, &s.Definition); err != nil {
		r.Invalid = err.Error()
		return r
	}
	r.Name, r.Enabled, r.Trigger, r.Definition = s.Name, s.IsEnabled(), oldbeat.Words(s.Definition), s.Definition
	origin := originOf(p.Origin)
	r.OwnZone = origin.Timezone+origin.Crontab.Timezone != ""
	if p.Invalid != "" {
		return r
	}
	comparison, err := reads.compare(s, origin, now)
	if err != nil {
		r.Invalid = domain.TriggerFault(err).Error()
		return r
	}
	r.Comparison = comparison
	r.Differences = append(r.Differences, reads.expiry(s, now)...)
	if t := instantOf(origin.Clocked.Time); !t.IsZero() && t.Before(now) && s.IsEnabled() &&
		!reads.instant(origin.Clocked.Time).After(now) && !reads.instant(origin.StartTime).After(now) {
		r.Differences = append(r.Differences,
			oldbeat.Difference{
				Code:    "past",
				Message: "its time has passed and it never ran: it is sent at once, as Celery's beat would",
			})
	}
	if task := cmp.Or(origin.Task, origin.TaskName); task != s.TaskName {
		r.Differences = append(r.Differences, oldbeat.SpacesOfTask(task, s.TaskName))
	}
	if origin.Enabled && !s.IsEnabled() {
		r.Differences = append(r.Differences,
			oldbeat.Difference{Code: "done", Message: "it is a one-off that has run: it stays disabled"})
	}
	return r
}

// origin is the part of a row that the preview needs besides the definition.
type origin struct {
	Enabled   bool   `json:"enabled"`
	Task      string `json:"task"`      // of django-celery-beat
	TaskName  string `json:"task_name"` // of a table of one's own
	LastRunAt string `json:"last_run_at"`
	StartTime string `json:"start_time"`
	Timezone  string `json:"timezone"`
	Crontab   struct {
		Timezone string `json:"timezone"`
	} `json:"crontab"`
	Clocked struct {
		Time string `json:"clocked_time"`
	} `json:"clocked"`
}

// adopted returns when a row is adopted: where an interval begins that has neither run nor a start, by the clock of
// PostgreSQL, which may be ahead of now.
func (o origin) adopted(s domain.Schedule, now time.Time) time.Time {
	if s.IntervalSeconds == 0 || o.LastRunAt+o.StartTime != "" {
		return now
	}
	if begins := instantOf(s.IntervalAnchor); begins.After(now) {
		return begins
	}
	return now
}

func originOf(raw []byte) (o origin) {
	_ = json.Unmarshal(raw, &o) // a row whose columns have other types is treated as empty
	return o
}

// instantOf parses a time as PostgreSQL writes it in JSON. It returns zero for any other text.
func instantOf(text string) time.Time {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t
		}
	}
	return time.Time{}
}
