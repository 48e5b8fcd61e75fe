package outbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/internal/detached"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// DropRunEvents drops the partitions of run events of which every row is visible in every one of the snapshots: those
// of batches that all sinks of the topic have, and that are old enough. A row that commits late, after a snapshot was
// taken, is not visible in it, and keeps its partition. Without a snapshot nothing is dropped.
func DropRunEvents(ctx context.Context, q Querier, seen ...Snapshot) (Upkeep, error) {
	if len(seen) == 0 {
		return Upkeep{}, nil
	}
	return dropUnless(ctx, q, Runs, nil, seen, func(partition string) string { return unseen(partition, seen) })
}

// DropHappenings drops the partitions of happenings of which every row occurred before a time and, where there are
// snapshots, is visible in every one of them. Nobody reads happenings while there is no rule.
func DropHappenings(ctx context.Context, q Querier, before time.Time, seen ...Snapshot) (Upkeep, error) {
	return dropUnless(ctx, q, sqlexpr.Happenings, &before, seen, func(partition string) string {
		rest := fmt.Sprintf("select from tactus.%s where occurred_at >= %s::timestamptz", partition,
			quote(before.UTC().Format(time.RFC3339Nano)))
		if len(seen) == 0 {
			return rest
		}
		return rest + " union all " + unseen(partition, seen)
	})
}

// dropUnless drops those partitions of a topic that nothing will be written to any more, and of which every row
// occurred before a time, if there is one, and is visible in every snapshot; rest is a query for the others.
func dropUnless(
	ctx context.Context, q Querier, topic string, before *time.Time, seen []Snapshot, rest func(partition string) string,
) (did Upkeep, err error) {
	s, err := readPartitions(ctx, q)
	if err != nil {
		return did, err
	}
	var errs []error
	for _, r := range s.ranges[topic] {
		if r.upper > s.position { // more will be written to it
			continue
		}
		if s.functions {
			gone, err := askWhether(ctx, q, dropEvents, topic, r.lower, before, texts(seen))
			if err != nil || gone {
				err = did.dropped(r.name, err)
			}
			errs = append(errs, err)
			continue
		}
		some, err := askWhether(ctx, q, "select exists ("+rest(r.name)+")")
		if err == nil && !some {
			err = did.dropped(r.name, execute(ctx, q, drop("outbox_"+topic, r.name, rest(r.name))))
		}
		errs = append(errs, err)
	}
	if len(did.Dropped) > 0 {
		errs = append(errs, did.tellDetached(ctx, q))
	}
	return did, errors.Join(errs...)
}

// unseen returns a query for the rows of a partition that are not visible in one of the snapshots. An index finds the
// rows written since a snapshot's xmin, of which an old partition has next to none, so that the query is cheap under
// the lock, too.
func unseen(partition string, seen []Snapshot) string {
	conditions := make([]string, len(seen))
	for i, s := range seen {
		conditions[i] = fmt.Sprintf("xid >= pg_snapshot_xmin(%[1]s) and not pg_visible_in_snapshot(xid, %[1]s)", quote(string(s))+"::pg_snapshot")
	}
	return fmt.Sprintf("select from tactus.%s where %s", partition, strings.Join(conditions, " or "))
}

func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

const (
	dropEvents = `select tactus.drop_events($1, $2, $3::timestamptz, $4::text[])`
	dropMonth  = `select tactus.drop_month($1::timestamptz)`
)

// dropMonth drops a partition of runs.
func (s partitions) dropMonth(ctx context.Context, q Querier, partition string) error {
	if !s.functions {
		return execute(ctx, q, drop("runs", partition, ""))
	}
	month, err := time.Parse(monthLayout, partition)
	if err != nil {
		return err
	}
	return execute(ctx, q, dropMonth, month)
}

func texts(seen []Snapshot) []string {
	all := make([]string, len(seen))
	for i, s := range seen {
		all[i] = string(s)
	}
	return all
}

// askWhether runs a query for one truth value.
func askWhether(ctx context.Context, q Querier, sql string, args ...any) (bool, error) {
	rows, err := q.Query(ctx, sql, append([]any{pgx.QueryExecModeExec}, args...)...)
	if err != nil {
		return false, fmt.Errorf("look for rows: %w", err)
	}
	so, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[bool])
	if err != nil {
		return false, fmt.Errorf("look for rows: %w", err)
	}
	return so, nil
}

// drop returns a statement that drops a partition, unless a query finds rows in it, or somebody uses its parent and
// does not finish soon. An open transaction that has written a row to the partition holds a lock on its parent as well.
// Once the parent is locked here, only a vacuum can still hold the partition, and nobody is made to wait for that.
//
// A view that somebody else has made on the partition keeps the table from being dropped. Then the partition is emptied
// and detached.
func drop(parent, partition, unless string) string {
	check := ""
	if unless != "" {
		check = fmt.Sprintf(`if exists (%s) then
        raise 'late rows' using errcode = 'object_in_use';
    end if;
    `, unless)
	}
	return alone + fmt.Sprintf(`lock table only tactus.%[1]s in access exclusive mode;
    lock table only tactus.%[2]s in access exclusive mode nowait;
    %[3]sbegin
        drop table tactus.%[2]s;
    exception when dependent_objects_still_exist then
        alter table tactus.%[1]s detach partition tactus.%[2]s;
        truncate table tactus.%[2]s;
        alter table tactus.%[2]s rename to %[4]s;
    end;`, parent, partition, check, detached.Prefix+partition) + end
}

// expired returns the partitions of runs whose month ended before a time.
func (s partitions) expired(before time.Time) (names []string) {
	for name := range s.months {
		if month, err := time.Parse(monthLayout, name); err == nil && !month.AddDate(0, 1, 0).After(before) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// forgetOnce is how many rows one round deletes at most.
const forgetOnce = 10_000

const (
	forgetRuns = `
delete from tactus.runs_default where ctid = any (array(select ctid from tactus.runs_default where due_at < $1 limit $2))`
	forgetKeys = `
delete from tactus.idempotency where key in (select key from tactus.idempotency where created_at < $1 order by created_at limit $2)`
)

// forget deletes row by row what is not dropped with a partition: runs in the default partition, and old idempotency
// keys.
func forget(ctx context.Context, q Querier, now time.Time, keep Retention) error {
	for _, f := range []struct {
		sql    string
		before time.Time
	}{{forgetRuns, now.Add(-keep.Runs)}, {forgetKeys, now.Add(-keep.Keys)}} {
		rows, err := q.Query(ctx, f.sql, f.before, forgetOnce)
		if err != nil {
			return fmt.Errorf("forget old rows: %w", err)
		}
		rows.Close()
		if err := rows.Err(); err != nil {
			return fmt.Errorf("forget old rows: %w", err)
		}
	}
	return nil
}
