package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tactus-dev/tactus/outbox"
)

// If the cut of a backlog takes longer than statement_timeout or the relay's patience, the backlog is cut in parts:
// batches with the same two snapshots P and S, each with the rows of a range of positions.
//
//	positions   low      low+w            low+w+w'            high
//	             |─ part 1 ─|──── part 2 ────|─ ... ─ the last ─|
//	             more         more              not more: only now does the sink have S
//
// An opening, and a batch of kind again, begins with a part without rows, which costs nothing to cut. The parts with
// rows follow.
//
// Invariant: the ranges adjoin, the first one begins below every row that P does not show, and the last one ends at or
// above every position that was drawn before S was taken. So the parts together have exactly the rows of the whole
// batch. S is stored with the first part, and the other parts use the same S. If each part took a snapshot of its own,
// rows would be lost that commit after an earlier part was cut and whose positions lie in that part's range. The order
// of the rows is by position, as in a whole batch, so the events of a schedule stay in order. With ranges of
// transaction numbers they would not: a transaction that began first may be the last to write to a schedule.
//
// The width of a range is halved until its cut is fast enough, and doubled after each cut that was. The cost of a row
// is not known beforehand, and with a fixed width the cut of rows that are larger than expected would fail for ever.

const (
	queryCanceled = "57014"
	widest        = int64(1) << 40
)

// tookTooLong reports whether a statement ended because of its duration.
func tookTooLong(err error) bool {
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pgErr.Code == queryCanceled
	}
	return errors.Is(err, context.DeadlineExceeded)
}

// positionMargin is subtracted from a bound that relies on transactions drawing their numbers before their positions.
// All of tactus' statements draw in this order, but SQL that somebody writes by hand may draw a position before its
// transaction has a number.
const positionMargin = 100_000

// belowNewSQL yields a position below all rows that @previous does not show. Such rows belong to transactions with
// numbers from x on, where x is the oldest transaction that was running and has rows in the log, or else
// xmax(@previous). Take the newest batch that was cut by a transaction with a number up to x: its floor is the highest
// position that was visible then, and transactions that drew their numbers later draw positions above this floor.
// Without such a bound, parts would begin at the first row of the log.
const belowNewSQL = `coalesce((
    select floor from tactus.relay_batches, (
        select least(pg_snapshot_xmax(@previous::pg_snapshot), (
            select (array_agg(running.id order by running.id))[1]
                from pg_snapshot_xip(@previous::pg_snapshot) as running (id),
                lateral (select from tactus.outbox where topic = @topic and ` + ofRunningSQL + ` limit 1) as committed)) as xid
    ) oldest
    where sink = @sink and number < @number::bigint and own <= oldest.xid
        and pg_snapshot_xmax(@previous::pg_snapshot) > '1'::xid8
    order by number desc limit 1), 0) - @less::bigint`

// belowAllSQL yields the position just below the first row of the topic.
const belowAllSQL = `coalesce((select position from tactus.outbox where topic = @topic order by position limit 1), 1) - 1`

// partBoundsSQL returns the range of positions that is still to be cut: its lower bound, exclusive, and its upper
// bound, inclusive.
var partBoundsSQL = `
select coalesce(@low::bigint, greatest(` + belowNewSQL + `, ` + belowAllSQL + `)), (select last_value from tactus.outbox_position)`

// The rows of an opening, or of a batch of kind again: all of them, or none if parts follow.
const (
	foundAllSQL = `found as materialized (
    select count(*) as rows, min(position) as first, max(position) as last, false as more %s
)`
	foundBelowSQL = `found as materialized (
    select 0::bigint as rows, low + 1 as first, low as last, true as more
    from (select greatest(least(` + belowNewSQL + `, (select oldest from old) - 1), ` + belowAllSQL + `) as low) below
)`
)

// part cuts the part that follows after: the next one if after is a part itself, otherwise the first part of a new
// batch.
func (r *Reader) part(ctx context.Context, after Batch) (b Batch, cut bool, err error) {
	left, err := r.uncut(ctx, after)
	if err != nil {
		return Batch{}, false, err
	}
	if r.width == 0 {
		r.width = widest
	}
	for r.width = max(1, min(r.width, left.high-left.low)); ; r.width = max(1, r.width/2) {
		b, cut, err = r.cutPart(ctx, after, left)
		if !tookTooLong(err) || ctx.Err() != nil || r.width == 1 {
			break
		}
	}
	if err == nil {
		r.width *= 2
	}
	return b, cut, err
}

// span is the range of positions (low, high] that is still to be cut.
type span struct{ low, high int64 }

func (r *Reader) uncut(ctx context.Context, after Batch) (s span, err error) {
	ctx, cancel := r.bounded(ctx)
	defer cancel()
	args := r.args()
	args["number"], args["previous"], args["less"], args["low"] = after.Number+1, string(after.Snapshot), positionMargin, nil
	if after.More {
		args["low"] = after.Last
	}
	rows, err := r.q.Query(ctx, partBoundsSQL, pgx.QueryExecModeExec, args)
	if err == nil {
		_, err = pgx.ForEachRow(rows, []any{&s.low, &s.high}, func() error { return nil })
	}
	if err != nil {
		return s, fmt.Errorf("look how far the log goes: %w", err)
	}
	return s, nil
}

func (r *Reader) cutPart(ctx context.Context, after Batch, s span) (Batch, bool, error) {
	ctx, cancel := r.bounded(ctx)
	defer cancel()
	args := r.args()
	args["number"], args["previous"], args["cut"] = after.Number+1, string(after.Snapshot), string(after.Snapshot)
	args["pinned"], args["part_of"], args["kind"], args["from"], args["since"] = nil, nil, "next", nil, nil
	rows := rowsOfNextSQL
	if after.More {
		args["previous"], args["pinned"], args["part_of"] = string(after.Previous), string(after.Snapshot), cmp.Or(after.PartOf, after.Number)
		args["kind"], args["from"], args["since"] = string(after.Kind), after.From, after.Since
		rows = r.rowsSQL(after)
	}
	args["low"], args["upto"], args["more"] = s.low, s.low+r.width, s.low+r.width < s.high
	return oneBatch(ctx, r.q, cutPart(rows), args)
}

func cutPart(rows string) string {
	rows = strings.ReplaceAll(byPosition(rows), "@snapshot::pg_snapshot", "(select snapshot from cut)")
	return fmt.Sprintf(cutPartFormat, rows+` and position > @low::bigint and position <= @upto::bigint`)
}

// cutPartFormat cuts a part even if it has no rows, because a part records the snapshot, and how far the cutting has
// come.
const cutPartFormat = `
with cut as materialized (
    select case when current_setting('synchronous_commit') <> 'remote_apply' then
        set_config('synchronous_commit', 'on', true) end,
        coalesce(@pinned::pg_snapshot, pg_current_snapshot()) as snapshot
), ` + serverSQL + `,
fresh as materialized (
    select count(*) as rows, max(position) as last %s
),
made as (
    insert into tactus.relay_batches (sink, number, epoch, previous, snapshot, row_count, first_position, last_position, more, part_of,
        part_kind, from_position, since)
    select @sink, @number::bigint, epoch, @previous::pg_snapshot, snapshot, rows, @low::bigint + 1,
        case when @more::boolean then @upto::bigint else coalesce(last, @low::bigint)
            end, @more::boolean, @part_of::bigint,
        nullif(@kind, 'next'), @from::bigint, @since::timestamptz
    from tactus.relay_sinks s, server, cut, fresh
    where sink = @sink and epoch = @epoch and ` + predecessorIsThereSQL + `
        and (s.timeline, s.system_identifier) = (server.timeline, server.system_identifier)
        and (@pinned::pg_snapshot is not null or pg_snapshot_xmax(snapshot) >= pg_snapshot_xmax(@previous::pg_snapshot))
    on conflict do nothing
    returning *
)` + madeOrThereSQL + `
`

const rowsBeforeSQL = `
select coalesce(sum(row_count), 0)::bigint from tactus.relay_batches where sink = $1 and number >= $2::bigint and number < $3::bigint`

// RowsBefore returns how many rows the parts of the same batch before b have.
func RowsBefore(ctx context.Context, q outbox.Querier, sink string, b Batch) (n int64, err error) {
	if b.PartOf == 0 {
		return 0, nil
	}
	rows, err := q.Query(ctx, rowsBeforeSQL, pgx.QueryExecModeExec, sink, b.PartOf, b.Number)
	if err == nil {
		n, err = pgx.CollectExactlyOneRow(rows, pgx.RowTo[int64])
	}
	if err != nil {
		return 0, fmt.Errorf("count the rows of parts: %w", err)
	}
	return n, nil
}
