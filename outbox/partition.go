package outbox

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tactus-dev/tactus/internal/detached"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// Retention says how long runs, run events and idempotency keys are kept. Schedule events are kept for ever.
type Retention struct {
	Runs time.Duration // by their due times, in whole months
	Keys time.Duration // Idempotency-Keys: how late a repeated request is still known
}

// Upkeep is what Maintain did. Deferred are the partitions that it left for the next time, because their table was in
// use or another process was changing partitions.
type Upkeep struct {
	Made, Dropped, Deferred []string

	Detached []detached.Table // all there are, not only those of this time
	Ready    map[string]int   // how many partitions stand ready behind the one in use, by their table
}

// Maintain makes the partitions that will be needed, well ahead, and drops the runs that retention no longer keeps. It
// is cheap when there is nothing to do, and any number of processes may call it, every minute or so. Readers and
// writers wait for it for a tenth of a second at most.
func Maintain(ctx context.Context, q Querier, now time.Time, keep Retention) (Upkeep, error) {
	var did Upkeep
	s, err := readPartitions(ctx, q)
	if err != nil {
		return did, err
	}
	var errs []error
	for _, p := range s.missing(now) {
		errs = append(errs, did.made(p.name, s.make(ctx, q, p)))
	}
	for _, p := range s.expired(now.Add(-keep.Runs)) {
		errs = append(errs, did.dropped(p, s.dropMonth(ctx, q, p)))
	}
	errs = append(errs, s.dropDetached(ctx, q), did.tellDetached(ctx, q))
	errs = append(errs, forget(ctx, q, now, keep), forgetEnded(ctx, q, now.Add(-keep.Runs)))
	if len(did.Made) > 0 {
		s, err = readPartitions(ctx, q)
		errs = append(errs, err)
	}
	did.Ready = s.ready(now)
	return did, errors.Join(errs...)
}

func (u *Upkeep) made(name string, err error) error {
	switch {
	case err == nil:
		u.Made = append(u.Made, name)
	case inUse(err):
		u.Deferred = append(u.Deferred, name)
	default:
		return fmt.Errorf("make partition %s: %w", name, err)
	}
	return nil
}

func (u *Upkeep) dropped(name string, err error) error {
	switch {
	case err == nil:
		u.Dropped = append(u.Dropped, name)
	case inUse(err):
		u.Deferred = append(u.Deferred, name)
	default:
		return fmt.Errorf("drop partition %s: %w", name, err)
	}
	return nil
}

const (
	lockNotAvailable = "55P03"
	objectInUse      = "55006"
	checkViolation   = "23514" // a row has come into the default partition where another partition was to begin
)

// inUse reports whether an error only means that a table is in use just now.
func inUse(err error) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	return ok && slices.Contains([]string{lockNotAvailable, objectInUse, checkViolation}, pgErr.Code)
}

// alone begins every change of partitions by the owner of a schema that has no functions for it. Only one process
// changes them at a time, and none ever queues for a lock on a table, because everybody else would queue behind it. The
// change is a single statement, so that a process which is stopped in the middle holds nothing.
//
// Turns are taken by locking a row, which roles without rights on it cannot do. Processes of releases before schema 75
// take an advisory lock instead. It is taken here, too, where it is free; where it is not, and two processes meet, one
// of the two changes fails, and is made at the next round.
const alone = `do $tactus$ begin
    perform set_config('lock_timeout', '100ms', true);
    perform pg_try_advisory_xact_lock(` + sqlexpr.PartitionLock + `);
    if to_regclass('tactus.turns') is not null then
        perform from tactus.turns where name = 'partitions' for no key update skip locked;
        if not found then
            raise 'another process changes partitions' using errcode = 'lock_not_available';
        end if;
    end if;
    `

const end = `
end $tactus$`

func execute(ctx context.Context, q Querier, sql string, args ...any) error {
	rows, err := q.Query(ctx, sql, append([]any{pgx.QueryExecModeExec}, args...)...)
	if err != nil {
		return err
	}
	rows.Close()
	return rows.Err()
}

// partitions are the partitions that exist.
type partitions struct {
	functions bool                       // the schema changes them by functions of the owner's, whoever calls
	position  int64                      // the newest that has been drawn
	ranges    map[string][]positionRange // by topic
	months    map[string]bool            // the names of runs' partitions
}

// positionRange is a partition of a topic. It holds the positions from lower up to, but not including, upper.
type positionRange struct {
	name         string
	lower, upper int64
}

const listPartitions = `
select child.relname, parent.relname, pg_get_expr(child.relpartbound, child.oid),
    (select last_value from tactus.outbox_position), to_regprocedure('tactus.make_partition(text, bigint, bigint)') is not null
from pg_inherits i join pg_class child on child.oid = i.inhrelid join pg_class parent on parent.oid = i.inhparent
where i.inhparent in ('tactus.outbox_schedule'::regclass, 'tactus.outbox_run'::regclass, to_regclass('tactus.outbox_happening'), 'tactus.runs'::regclass)`

func readPartitions(ctx context.Context, q Querier) (partitions, error) {
	s := partitions{ranges: map[string][]positionRange{}, months: map[string]bool{}}
	rows, err := q.Query(ctx, listPartitions)
	if err != nil {
		return s, fmt.Errorf("list partitions: %w", err)
	}
	var name, parent, bounds string
	if _, err := pgx.ForEachRow(rows, []any{&name, &parent, &bounds, &s.position, &s.functions}, func() error {
		return s.add(name, parent, bounds)
	}); err != nil {
		return s, fmt.Errorf("list partitions: %w", err)
	}
	return s, nil
}

var fromTo = regexp.MustCompile(`^FOR VALUES FROM \('(\d+)'\) TO \('(\d+)'\)$`)

func (s *partitions) add(name, parent, bounds string) error {
	if parent == "runs" {
		s.months[name] = true
		return nil
	}
	found := fromTo.FindStringSubmatch(bounds)
	if found == nil {
		return fmt.Errorf("partition %s has bounds that tactus did not make: %s", name, bounds)
	}
	lower, _ := strconv.ParseInt(found[1], 10, 64) // digits, and Postgres holds them in as many bits
	upper, _ := strconv.ParseInt(found[2], 10, 64)
	topic := parent[len("outbox_"):]
	s.ranges[topic] = append(s.ranges[topic], positionRange{name, lower, upper})
	return nil
}
