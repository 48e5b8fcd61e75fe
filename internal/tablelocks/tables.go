package tablelocks

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tactus-dev/tactus/internal/postgres"
)

// Lock is a lock on a whole table, or on an index of it, that keeps others waiting. One that is only waited for does
// so, too: whoever asks later stands behind it.
type Lock struct {
	Table       string // with its schema; of a partition, its own name
	Of          string // the table that it is a partition of, or Table
	Mode        string
	PID         int32 // 0 of a prepared transaction
	Role        string
	Application string
	Behind      []int32 // for whom it waits; empty when it is held
}

// String names the table, and who it is.
func (l Lock) String() string {
	who := "a prepared transaction (pg_prepared_xacts)"
	if l.PID != 0 {
		who = fmt.Sprintf("pid %d", l.PID)
	}
	var of []string
	if l.Role != "" {
		of = append(of, "role "+l.Role)
	}
	if l.Application != "" {
		of = append(of, l.Application)
	}
	if len(of) > 0 {
		who += " (" + strings.Join(of, ", ") + ")"
	}
	if len(l.Behind) > 0 {
		return fmt.Sprintf("%s waits for a lock (%s) on the table %s, behind pid %s, and keeps others waiting", who, l.Mode,
			l.Table, strings.Trim(fmt.Sprint(l.Behind), "[]"))
	}
	return fmt.Sprintf("%s has locked the table %s (%s)", who, l.Table, l.Mode)
}

// Text names several.
func Text(all []Lock) string {
	const most = 3
	var texts []string
	for _, l := range all[:min(len(all), most)] {
		texts = append(texts, l.String())
	}
	if len(all) > most {
		texts = append(texts, fmt.Sprintf("and %d locks more (pg_locks)", len(all)-most))
	}
	return strings.Join(texts, "; ")
}

const tablesSQL = `
with ours as (
    select l.pid, l.mode, l.granted, coalesce(i.indrelid, l.relation) as id
    from pg_locks l join pg_class c on c.oid = l.relation and c.relnamespace = 'tactus'::regnamespace
    left join pg_index i on i.indexrelid = l.relation
    where l.locktype = 'relation' and l.database = (select oid from pg_database where datname = current_database())
        and l.pid is distinct from pg_backend_pid()
        and l.mode in ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
)
select 'tactus.' || c.relname, 'tactus.' || coalesce(parent.relname, c.relname), ours.mode, coalesce(ours.pid, 0),
    coalesce(a.usename, ''), coalesce(a.application_name, ''),
    case when ours.granted or ours.pid is null then array[]::integer[] else pg_blocking_pids(ours.pid) end
from ours join pg_class c on c.oid = ours.id left join pg_class parent on parent.oid = pg_partition_root(ours.id)
left join pg_stat_activity a on a.pid = ours.pid
order by ours.granted desc, 1, 4, 3`

// Tables returns the locks of others on tables of tactus, those that are held first.
func Tables(ctx context.Context, q postgres.Querier) ([]Lock, error) {
	all, err := postgres.Collect(ctx, q, pgx.RowToStructByPos[Lock], tablesSQL, pgx.QueryExecModeCacheDescribe)
	if err != nil {
		return nil, fmt.Errorf("look who has locked a table: %w", err)
	}
	return all, nil
}

// explainWithin is how long it may take to find out why something failed.
const explainWithin = 2 * time.Second

// Explain puts before the error of a statement that waited in vain who has locked a table, if anybody has.
func Explain(ctx context.Context, q postgres.Querier, err error) error {
	if !waited(err) {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), explainWithin)
	defer cancel()
	all, failed := Tables(ctx, q)
	if failed != nil || len(all) == 0 {
		return err
	}
	return fmt.Errorf("%s: %w", Text(all), err)
}

// waited reports whether a statement may have failed because it waited for a table.
func waited(err error) bool {
	return postgres.LockTimedOut(err) && !forRow(err) || postgres.Canceled(err) ||
		errors.Is(err, context.DeadlineExceeded) || pgconn.Timeout(err)
}

// forRow reports whether PostgreSQL says that a statement waited for a row. It may say so in another language.
func forRow(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && strings.Contains(e.Where, "tuple (")
}
