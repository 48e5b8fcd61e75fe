package adopt

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/oldbeat"
	"github.com/tactus-dev/tactus/internal/unsent"
)

// Going back, the old beat decides what is due by the last_run_at of its rows, which tactus does not write while it is
// in charge. So that nothing runs twice and nothing is left out, each row is handed back with the time at which it ran
// last: that of its last run here, or the moment up to which tactus has settled everything, where the old beat would
// otherwise send at once what was settled.

// handed is a row that is handed back, with what became of its schedule here.
type handed struct {
	Key        string
	Schedule   domain.ID
	Definition []byte
	Enabled    bool
	Effective  time.Time
	LastRunAt  *time.Time // as the row has it
	Ran        *time.Time // its last run here
	Runs       int64      // how many runs it had here since it was adopted
	Present    int64      // how many of them since it has its present trigger, or was enabled anew
	Passed     bool       // whether a due time of its present trigger was settled without a run
	Settled    *time.Time // the watermark of the beat; nil when there was no leader yet
}

// handedRowsSQL reads the rows of a table with what became of their schedules here, including schedules that have been
// released. $2 says that runs which were cancelled before they were handed over are left to the old beat: they count as
// not run, and nothing is settled from the first of them on.
const handedRowsSQL = `
select t.id::text, s.id, s.definition, s.enabled and s.deleted_at is null, s.effective_from, %s, r.last, r.runs, r.present,
    exists (select from tactus.runs where schedule_id = s.id and kind = 'scheduled' and status in ('missed', 'skipped', 'excluded')
        and due_at > s.effective_from),
    (select least(watermark, (select min(due_at) - interval '1 microsecond' from tactus.runs where $2 and schedule_id = s.id
        and kind = 'scheduled' and ` + unsent.Cancelled + ` and fired_at > coalesce(r.last, '-infinity')))
        from tactus.leases where name = 'beat')
from %s t join tactus.schedules s on s.id = tactus.adopted_id($1, t.id::text) and s.managed_by = $1
left join lateral (
    select max(fired_at) as last, count(*) filter (where fired_at >= $3) as runs,
        count(*) filter (where fired_at >= s.trigger_set_at) as present
    from tactus.runs
    where schedule_id = s.id and kind = 'scheduled' and status not in ('missed', 'skipped', 'excluded') and not waiting
        and fired_at >= s.created_at and not ($2 and ` + unsent.Cancelled + `)
) r on true`

// handBackColumnsSQL lists the columns to write, of those that the table has, and whether each is a timestamp without a
// zone.
const handBackColumnsSQL = `
select attname::text, atttypid = 'timestamp'::regtype from pg_attribute
where attrelid = to_regclass($1) and attname in ('last_run_at', 'total_run_count', 'enabled') and not attisdropped`

// countedSQL reads since when the runs of a table are counted that its rows do not count yet: since it was adopted.
// What is not adopted any more has been handed back with the runs until then.
const countedSQL = `select max(adopted_at) from tactus.adoptions where source = $1`

// back collects what to write to the rows, one element of each slice for one row.
type back struct {
	keys []string
	last []*time.Time
	runs []int64
	// whether to disable the row: its runs are used up, or it is a one-off that was missed here and that the old beat
	// would send late
	done []bool
	// whether it is a one-off that ran here and was set anew since: it is to run once more
	anew []bool
}

// checkTableSQL raises an error when reading the table would run code of its owner, and locks the table so that this
// stays true until the end of the transaction.
const checkTableSQL = `select tactus.adopt_check_table($1, $2, '')`

// checkWritingSQL raises an error when writing to the rows would run code of others with the rights of our role, and
// locks the table so that this stays true until the end of the transaction.
const checkWritingSQL = `select tactus.adopt_check_writing($1, $2)`

// checkSQL returns the statement that checks the table right before its rows are written. What a table runs is accepted
// as a whole by TrustTriggers, except what reading it would run as well.
func (s Source) checkSQL() string {
	if s.TrustTriggers {
		return checkTableSQL
	}
	return checkWritingSQL
}

// readNewest begins a transaction whose checks see what is committed at the time of each, whatever the default of the
// role is.
const readNewest = `begin isolation level read committed`

// handed reads the rows to hand back, and returns the statement that writes them.
func (s Source) handed(ctx context.Context, counted *time.Time) (all []handed, statement string, err error) {
	columns := map[string]bool{}
	rows, err := s.pool.Query(ctx, handBackColumnsSQL, s.Table)
	if err != nil {
		return nil, "", err
	}
	var name string
	var zoneless bool
	if _, err := pgx.ForEachRow(rows, []any{&name, &zoneless},
		func() error { columns[name] = zoneless; return nil }); err != nil {
		return nil, "", err
	}
	if len(columns) == 0 { // the table is gone, or has been renamed
		return nil, "", nil
	}
	statement, lastRunAt := s.handBackSQL(columns)
	err = s.locked(ctx, func() error {
		batch := &pgx.Batch{}
		batch.Queue(readNewest)
		batch.Queue(checkTableSQL, s.Table, string(s.Kind))
		batch.Queue(fmt.Sprintf(handedRowsSQL, lastRunAt, s.Table), s.Table, s.CancelUnsent,
			counted).Query(func(found pgx.Rows) (err error) {
			all, err = pgx.CollectRows(found, pgx.RowToStructByPos[handed])
			return err
		})
		batch.Queue(`rollback`)
		return s.pool.SendBatch(ctx, batch).Close()
	})
	return all, statement, err
}

// handBackSQL returns the statement that writes the columns that the table has, and the expression that reads
// last_run_at. What is enabled again later is to begin anew, as after django-celery-beat has disabled it: its disabled
// rows have no last run, by which it would send them at once, and a one-off that is done has no runs, or it would
// not run again.
func (s Source) handBackSQL(columns map[string]bool) (statement, lastRunAt string) {
	lastRunAt = "null::timestamptz"
	var sets []string
	if zoneless, there := columns["last_run_at"]; there {
		value := "b.last"
		finite := "case when isfinite(t.last_run_at) then t.last_run_at end" // Go has no time without end
		switch lastRunAt = finite; {
		case zoneless:
			value, lastRunAt = "b.last at time zone 'UTC'", finite+" at time zone 'UTC'"
		case s.NaiveTimezone != "": // what its beat makes of a value: the local time, as if it were in UTC
			local := "'" + strings.ReplaceAll(s.NaiveTimezone, "'", "''") + "'"
			value = "b.last at time zone 'UTC' at time zone " + local
			lastRunAt = "(" + finite + ") at time zone " + local + " at time zone 'UTC'"
			// What would lie ahead was written with a zone, by a beat that then misreads it.
			finite = "case when " + lastRunAt + " <= clock_timestamp() then t.last_run_at end"
			lastRunAt = "(" + finite + ") at time zone " + local + " at time zone 'UTC'"
		}
		sets = append(sets, "last_run_at = case when b.done or b.anew then null "+
			"when t.enabled or t.last_run_at is not null then greatest("+finite+", "+value+") end")
	}
	if _, there := columns["total_run_count"]; there {
		sets = append(sets, "total_run_count = case when b.done or b.anew then 0 else coalesce(t.total_run_count, 0) + "+
			"b.runs end")
	}
	sets = append(sets, "enabled = t.enabled and not b.done")
	return fmt.Sprintf(`update %s t set %s
		from unnest($1::text[], $2::timestamptz[], $3::bigint[], $4::boolean[], $5::boolean[])
			b (key, last, runs, done, anew)
		where t.id::text = b.key`, s.Table, strings.Join(sets, ", ")), lastRunAt
}

// add records what to write to a row. before is the same row as it was handed back earlier, with a zero Key when it was
// not.
func (b *back) add(h handed, before handed) error {
	var d domain.Definition
	if err := json.Unmarshal(h.Definition, &d); err != nil {
		return fmt.Errorf("the row %s: %w", h.Key, err)
	}
	runs := h.Runs - before.Runs
	if before.Key != "" && runs == 0 {
		return nil
	}
	last, done := h.Ran, d.RunAt != "" && (h.Present > 0 || h.Passed) || d.MaxRuns > 0 && h.Present >= d.MaxRuns
	anew := !done && (d.RunAt != "" || d.MaxRuns > 0) && h.Runs > h.Present
	if last != nil && h.LastRunAt == nil && last.Before(h.Effective) { // it was enabled since, and begins then
		last = &h.Effective
	}
	switch {
	case done || d.RunAt != "" || !h.Enabled || h.Settled == nil || !h.Settled.After(h.Effective) || ended(d, *h.Settled):
	case !oldbeat.Began(d, *h.Settled): // what was due before its start is still to be sent then, by the old beat
		switch {
		case later(h.Ran, h.LastRunAt) != nil:
		case oldbeat.Owes(d, h.Effective):
			last = &h.Effective
		case d.CronExpression != "": // or it would leave out what is due until it starts
			last = h.Settled
		}
	default:
		last = oldbeat.LastRun(d, later(h.Ran, h.LastRunAt), *h.Settled)
		if last == nil { // what never ran the old beat would begin anew, and leave out what is due until it starts
			settled := oldbeat.SettledRun(d, *h.Settled)
			last = &settled
		}
	}
	if last != nil || done {
		b.keys, b.last, b.runs = append(b.keys, h.Key), append(b.last, last), append(b.runs, runs)
		b.done, b.anew = append(b.done, done), append(b.anew, anew)
	}
	return nil
}

// ended reports whether a schedule had come to its end by an instant.
func ended(d domain.Definition, at time.Time) bool {
	end, err := time.Parse(time.RFC3339, d.EndsAt)
	return err == nil && !end.After(at)
}

// later returns the later of two instants; nil is before all others.
func later(a, b *time.Time) *time.Time {
	if a == nil || b != nil && b.After(*a) {
		return b
	}
	return a
}

// handBack writes to the rows when they ran last, and adds the number of runs since they were handed back before.
// around queues the caller's own statements of the transaction, and calls its argument where the rows are to be
// written. The first time it checks the table even if there is nothing to write: it may be too late the second time.
func (s Source) handBack(ctx context.Context, before map[string]handed, counted *time.Time,
	around func(*pgx.Batch, func()),
) (map[string]handed, error) {
	all, statement, err := s.handed(ctx, counted)
	if err != nil {
		return nil, fmt.Errorf("read what has run: %w", err)
	}
	var b back
	now := make(map[string]handed, len(all))
	for _, h := range all {
		if err := b.add(h, before[h.Key]); err != nil {
			return nil, err
		}
		now[h.Key] = h
	}
	return now, s.locked(ctx, func() error {
		batch := &pgx.Batch{}
		batch.Queue(readNewest)
		batch.Queue(`select set_config('lock_timeout', '500ms', true)`)
		around(batch, func() {
			if statement != "" && (before == nil || len(b.keys) > 0) {
				batch.Queue(s.checkSQL(), s.Table, string(s.Kind))
				batch.Queue(statement, b.keys, b.last, b.runs, b.done, b.anew)
			}
		})
		batch.Queue(`commit`)
		return s.pool.SendBatch(ctx, batch).Close()
	})
}

// leave hands the rows back and drops the triggers, in one transaction. It deletes the adoption first: without one, the
// triggers ignore the writes to the rows.
func (s Source) leave(ctx context.Context, counted *time.Time) (map[string]handed, error) {
	return s.handBack(ctx, nil, counted, func(b *pgx.Batch, write func()) {
		b.Queue(`delete from tactus.adoptions where source = $1`, s.Table)
		write()
		b.Queue(`select tactus.adopt_uninstall($1)`, s.Table)
	})
}

// catchUp hands back the runs between the first handing back and the release of the schedules.
func (s Source) catchUp(ctx context.Context, before map[string]handed, counted *time.Time) error {
	_, err := s.handBack(ctx, before, counted, func(_ *pgx.Batch, write func()) { write() })
	return err
}
