package ledger

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/outbox"
)

// Batch is a numbered set of events of a topic, cut for one sink. Once committed it never changes, and reading it
// always returns the same rows.
type Batch struct {
	Number             int64
	Epoch              string
	Kind               BatchKind
	Previous, Snapshot outbox.Snapshot
	Rows               int64
	First, Last        int64      // positions of the first and the last row; 0 when there are none
	From               *int64     // rows from this position on are included even if Previous shows them ...
	Since              *time.Time // ... if they occurred since this instant
	CommittedAt        time.Time
	More               bool  // the batch is a part, and the next batch has more rows of the same two snapshots
	PartOf             int64 // the number of the first part; 0 if this is the first part, or a whole batch
}

// BatchKind is why a batch was cut.
type BatchKind string

// The kinds of batches.
const (
	FirstBatch BatchKind = "first" // the first batch of a sink
	EpochBatch BatchKind = "epoch" // the first batch of a new epoch, which the sink announces
	NextBatch  BatchKind = "next"  // the rows that are new since the previous batch
	AgainBatch BatchKind = "again" // the rows that the sink may have lost, and the new ones
)

// Has reports whether a sink that has reached p has all rows of b.
func (b Batch) Has(p ID) bool { return p.Batch > b.Number || p.Batch == b.Number && p.Seq >= b.Rows }

// After returns the cursor of a sink that has reached p, which lies in b or behind it. Only whole batches count, with
// all of their parts: while the sink is in the middle of b, its cursor is still b.Previous.
func (b Batch) After(p ID) outbox.Snapshot {
	if b.Has(p) && !b.More {
		return b.Snapshot
	}
	return b.Previous
}

const batchColumns = `number, epoch, coalesce(part_kind, kind), previous::text, snapshot::text, row_count,
    coalesce(first_position, 0), coalesce(last_position, 0), from_position, since, committed_at, more, coalesce(part_of, 0)`

const (
	batchUpToSQL = `select ` + batchColumns + ` from tactus.relay_batches where sink = $1 and number <= $2::bigint order by number desc limit 1`
	batchFromSQL = `select ` + batchColumns + ` from tactus.relay_batches where sink = $1 and number >= $2::bigint order by number limit 1`
)

// BatchUpTo returns the batch of a sink with the greatest number up to the given one, and whether there is one.
func BatchUpTo(ctx context.Context, q outbox.Querier, sink string, number int64) (Batch, bool, error) {
	return oneBatch(ctx, q, batchUpToSQL, sink, number)
}

// BatchFrom returns the batch of a sink with the smallest number from the given one on, and whether there is one.
func BatchFrom(ctx context.Context, q outbox.Querier, sink string, number int64) (Batch, bool, error) {
	return oneBatch(ctx, q, batchFromSQL, sink, number)
}

func oneBatch(ctx context.Context, q outbox.Querier, sql string, args ...any) (Batch, bool, error) {
	rows, err := q.Query(ctx, sql, append([]any{pgx.QueryExecModeExec}, args...)...)
	if err != nil {
		return Batch{}, false, fmt.Errorf("read batch: %w", err)
	}
	b, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Batch])
	if errors.Is(err, pgx.ErrNoRows) {
		return Batch{}, false, nil
	}
	if err != nil {
		return Batch{}, false, fmt.Errorf("read batch: %w", err)
	}
	return b, true, nil
}

// takeSnapshotSQL begins every statement that makes a batch: it takes the snapshot S, and makes the commit synchronous,
// whatever the server's default is. PostgreSQL writes its write-ahead log in order, so the flush of this commit covers
// every commit that S shows. So nothing is published that a crash of PostgreSQL could still undo. Without this, a crash
// of a server with synchronous_commit = off would undo events that consumers have already acted on.
const takeSnapshotSQL = `
with cut as materialized (
    select case when current_setting('synchronous_commit') <> 'remote_apply' then
        set_config('synchronous_commit', 'on', true) end,
        pg_current_snapshot() as snapshot
)`

// ErrNotCut means that the batch that the next one was to follow does not exist, or differs: the server was put back to
// a state before that batch was cut. The relay has to agree with the ledger again.
var ErrNotCut = errors.New("the batch before is not there as it was cut")

// predecessorIsThereSQL is true if the batch before @number exists, with the snapshot @cut.
const predecessorIsThereSQL = `exists (select from tactus.relay_batches where sink = @sink and number = @number::bigint - 1 and snapshot::text = @cut::text)`

// Next cuts the batch that follows after, and returns it, or the batch of that number that another relay has cut
// meanwhile. It returns false if there are no new rows (unless even is set, which asks for a batch without rows), if
// the epoch has ended, or if the epoch did not begin on this server and timeline.
func (r *Reader) Next(ctx context.Context, after Batch, even bool) (Batch, bool, error) {
	if after.More {
		return r.part(ctx, after)
	}
	b, cut, err := r.next(ctx, after, even)
	if tookTooLong(err) {
		return r.part(ctx, after)
	}
	return b, cut, err
}

func (r *Reader) next(ctx context.Context, after Batch, even bool) (Batch, bool, error) {
	ctx, cancel := r.bounded(ctx)
	defer cancel()
	args := r.args()
	args["number"], args["previous"], args["cut"], args["even"] = after.Number+1, string(after.Snapshot), string(after.Snapshot), even
	args["running"] = running(after.Snapshot)
	if fresh, err := r.anyNew(ctx, args); err != nil || !fresh && !even {
		return Batch{}, false, err
	}
	return oneBatch(ctx, r.q, r.ofTopic(cutNextSQL), args)
}

// Lacks reports whether a sink at a place lacks rows: of the batch that it is in, of later ones, or of none yet.
func (r *Reader) Lacks(ctx context.Context, p ID) (bool, error) {
	ctx, cancel := r.bounded(ctx)
	defer cancel()
	b, found, err := BatchUpTo(ctx, r.q, r.sink, p.Batch)
	if err != nil || !found || b.More || !b.Has(p) {
		return true, err
	}
	args := r.args()
	args["number"], args["previous"], args["cut"] = b.Number+1, string(b.Snapshot), string(b.Snapshot)
	args["running"] = running(b.Snapshot)
	return r.anyNew(ctx, args)
}

// anyNew reports whether there is something to cut. Most of the time there is nothing, and planning this query costs a
// tenth of planning the cut.
func (r *Reader) anyNew(ctx context.Context, args pgx.NamedArgs) (bool, error) {
	rows, err := r.q.Query(ctx, r.ofTopic(anyNewSQL), pgx.QueryExecModeExec, args)
	if err != nil {
		return false, fmt.Errorf("look for what is new: %w", err)
	}
	is, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[struct{ Cut, Fresh bool }])
	if err == nil && !is.Cut {
		err = ErrNotCut
	}
	if err != nil {
		return false, fmt.Errorf("look for what is new: %w", err)
	}
	return is.Fresh, nil
}

// anyNewSQL looks for one row for which isNewSQL is true, in a form that PostgreSQL answers from the index on xid
// whatever its statistics say: it looks at the end of the index, and at each transaction that was running. It also
// answers yes if batch @number exists already, whose rows may have been dropped since: Next returns that batch as it
// is.
var anyNewSQL = `
select ` + predecessorIsThereSQL + `, (
    select xid from tactus.outbox_run where xid >= pg_snapshot_xmax(@previous::pg_snapshot) and ` + afterOpeningSQL + ` order by xid limit 1
) is not null or exists (
    select from pg_snapshot_xip(@previous::pg_snapshot) as running (id),
        lateral (select from tactus.outbox_run where ` + ofRunningSQL + ` and ` + afterOpeningSQL + ` limit 1) as committed
) or exists (select from tactus.relay_batches where sink = @sink and number = @number::bigint)`

// cutting returns the statement that cuts a batch. It counts the rows of the batch by the same text by which they are
// read.
func cutting(sql, rows string) string {
	return fmt.Sprintf(sql, strings.NewReplacer("@snapshot::pg_snapshot", "(select snapshot from cut)", "@from::bigint",
		"(select oldest from old)").Replace(rows))
}

var (
	cutNextSQL         = cutting(cutNextFormat, nextByXidSQL)
	cutAgainSQL        = cutting(fmt.Sprintf(cutAgainFormat, foundAllSQL), rowsOfAgainSQL)
	cutAgainInPartsSQL = fmt.Sprintf(cutAgainFormat, foundBelowSQL)
)

const cutNextFormat = takeSnapshotSQL + `, ` + serverSQL + `,
fresh as materialized (
    select count(*) as rows, min(position) as first, max(position) as last %s
        and not exists (select from tactus.relay_batches where sink = @sink and number = @number::bigint)
),
made as (
    insert into tactus.relay_batches (sink, number, epoch, previous, snapshot, row_count, first_position, last_position, own, floor)
    select @sink, @number::bigint, epoch, @previous::pg_snapshot, snapshot, rows, first, last, ` + ownAndFloorSQL + `
    from tactus.relay_sinks s, server, cut, fresh
    where sink = @sink and epoch = @epoch and (rows > 0 or @even) and ` + predecessorIsThereSQL + `
        and (s.timeline, s.system_identifier) = (server.timeline, server.system_identifier)
        and pg_snapshot_xmax(snapshot) >= pg_snapshot_xmax(@previous::pg_snapshot)
    on conflict do nothing
    returning *
)` + madeOrThereSQL

// ownAndFloorSQL yields own, the number of the cutting transaction, and floor, the highest position that it sees. A
// transaction that draws its number later has a number above own, and draws positions above floor; belowNewSQL relies
// on this.
const ownAndFloorSQL = `pg_current_xact_id(), (select max(position) from tactus.outbox where topic = @topic)`

// madeOrThereSQL ends a statement that makes a batch: it returns the batch, even if another relay has made it.
const madeOrThereSQL = `
select ` + batchColumns + ` from made
union all
select ` + batchColumns + ` from tactus.relay_batches where sink = @sink and number = @number::bigint and ` + predecessorIsThereSQL

// Again cuts the batch that follows after, for a sink that has lost its data. The batch has the rows that occurred
// since a time, and the rows that previous, the cursor of the sink before the loss, does not show. Like Next, it
// returns the batch that another relay has cut, if there is one.
func (r *Reader) Again(
	ctx context.Context, after Batch, previous outbox.Snapshot, since time.Time,
) (Batch, bool, error) {
	b, cut, err := r.again(ctx, cutAgainSQL, after, previous, since)
	if tookTooLong(err) {
		return r.again(ctx, cutAgainInPartsSQL, after, previous, since)
	}
	return b, cut, err
}

func (r *Reader) again(
	ctx context.Context, sql string, after Batch, previous outbox.Snapshot, since time.Time,
) (Batch, bool, error) {
	ctx, cancel := r.bounded(ctx)
	defer cancel()
	args := r.args()
	args["number"], args["previous"], args["cut"], args["since"] = after.Number+1, string(previous), string(after.Snapshot), since
	args["less"] = positionMargin
	return oneBatch(ctx, r.q, sql, args)
}

const cutAgainFormat = takeSnapshotSQL + `,
old as materialized (
    select min(first_position) as oldest from tactus.relay_batches where sink = @sink
        and committed_at >= @since::timestamptz
),
%s,
made as (
    insert into tactus.relay_batches (sink, number, epoch, kind, previous, snapshot, row_count, first_position, last_position, from_position, since,
        more)
    select @sink, @number::bigint, epoch, 'again', @previous::pg_snapshot, snapshot, rows, first, last, oldest, @since::timestamptz, more
    from tactus.relay_sinks, cut, found, old where sink = @sink and epoch = @epoch and ` + predecessorIsThereSQL + `
    on conflict do nothing
    returning *
)` + madeOrThereSQL
