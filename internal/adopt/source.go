package adopt

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/internal/oldbeat"
)

// Kind says whose beat a table belongs to.
type Kind string

// The kinds of sources.
const (
	CeleryBeatSchedules Kind = "celery_beat_schedules" // one table, a cron expression a row
	// periodictask, with crontab, interval, clocked and solar schedules
	DjangoCeleryBeat Kind = "django_celery_beat"
)

// required lists the columns without which a table is not of the kind.
var required = map[Kind][]string{
	CeleryBeatSchedules: {"id", "name", "task_name", "cron_expression", "enabled"},
	DjangoCeleryBeat: {
		"id", "name", "task", "crontab_id", "interval_id", "clocked_id", "enabled", "one_off",
		"total_run_count",
	},
}

// Source is a table whose rows are schedules.
type Source struct {
	Table string // the name with its schema, quoted as SQL needs it
	Kind  Kind
	pool  *pgxpool.Pool

	// TrustTriggers makes Unadopt write to the rows even if that runs code of other roles (except superusers) with the
	// rights of tactus' role: triggers, rules, constraints, generated columns.
	TrustTriggers bool

	// NaiveTimezone is the time zone of a beat whose times have none. It reads local times of that zone from the rows
	// and takes them for times in UTC, so that Unadopt writes and reads last_run_at in that way. It is UTC for a beat
	// whose times have zones, and empty when nobody has told. Adopt keeps it for FindAdopted.
	NaiveTimezone string

	// Celery is the release of the beat that has read the rows so far, for Preview; empty when nobody has told.
	Celery oldbeat.Release

	// CancelUnsent has runs that were not handed over be cancelled and left to the old beat when the rows go back.
	CancelUnsent bool
}

const findTableSQL = `
select format('%I.%I', n.nspname, c.relname),
    coalesce((select naive_timezone from tactus.adoptions where source = format('%I.%I', n.nspname, c.relname)), ''),
    array(select attname::text from pg_attribute where attrelid = c.oid and attnum > 0 and not attisdropped)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.oid = coalesce(to_regclass($1), to_regclass(case when strpos($1, '.') = 0 then 'public.' || $1 end))
    and c.relkind in ('r', 'p')`

// Find returns the source for a table. The name includes the schema unless that is public, because our sessions'
// search_path contains no schema of users.
func Find(ctx context.Context, pool *pgxpool.Pool, table string, kind Kind) (Source, error) {
	s := Source{Kind: kind, pool: pool}
	var columns []string
	err := pool.QueryRow(ctx, findTableSQL, table).Scan(&s.Table, &s.NaiveTimezone, &columns)
	if errors.Is(err, pgx.ErrNoRows) {
		return s, fmt.Errorf("there is no table %s in this database: give its schema too, unless that is public", table)
	}
	if err != nil {
		return s, fmt.Errorf("find %s: %w", table, err)
	}
	have := map[string]bool{}
	for _, column := range columns {
		have[column] = true
	}
	for _, column := range required[kind] {
		if !have[column] {
			return s, fmt.Errorf("%s has no column %s: it is not a table of %s", s.Table, column, kind)
		}
	}
	return s, nil
}

// findAdoptedSQL also reads how the beat of the table reads times. That of a table that is gone has none to read.
const findAdoptedSQL = `
select source, coalesce(naive_timezone, case when to_regclass(source) is null then 'UTC' end, '')
from tactus.adoptions where source = any (array[$1, 'public.' || $1]) and kind = $2
order by source = $1 desc limit 1`

// FindAdopted returns the source of a table that was adopted under this name, which includes the schema unless that is
// public. The table may have been renamed or dropped since.
func FindAdopted(ctx context.Context, pool *pgxpool.Pool, table string, kind Kind) (Source, error) {
	s := Source{Kind: kind, pool: pool}
	err := pool.QueryRow(ctx, findAdoptedSQL, table, string(kind)).Scan(&s.Table, &s.NaiveTimezone)
	if errors.Is(err, pgx.ErrNoRows) {
		return s, fmt.Errorf("%s is not adopted", table)
	}
	if err != nil {
		return s, fmt.Errorf("find %s: %w", table, err)
	}
	return s, nil
}
