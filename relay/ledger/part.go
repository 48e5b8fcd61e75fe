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

// A backlog whose cut takes longer than statement_timeout, or our patience, is cut in parts: batches of the same two snapshots,
// each of a range of positions. What begins an epoch, or is handed over again, then begins with a part that has no rows, and so
// costs nothing to cut. Their order is that of positions, as within one batch, so a schedule's events stay in order. (By
// number of transaction they would not: who began first may write to a schedule last.) The range is halved until one passes.

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

// lessSure is by how much a bound is lowered that rests on positions being drawn after numbers of transactions: who writes to the
// log by hand, before anything else, may do it the other way round.
const lessSure = 100_000

// belowNew is a position below all rows that @previous had not seen: those of transactions that began after a batch was cut are
// above its floor.
const belowNew = `coalesce((
    select floor from tactus.relay_batches, (
        select least(pg_snapshot_xmax(@previous::pg_snapshot), (
            select (array_agg(open.id order by open.id))[1] from pg_snapshot_xip(@previous::pg_snapshot) as open (id),
                lateral (select from tactus.outbox where topic = @topic and ` + ofOpen + ` limit 1) as committed)) as xid
    ) oldest
    where sink = @sink and number < @number::bigint and own <= oldest.xid and pg_snapshot_xmax(@previous::pg_snapshot) > '1'::xid8
    order by number desc limit 1), 0) - @less::bigint`

// belowAll is the position below the first row that there is.
const belowAll = `coalesce((select position from tactus.outbox where topic = @topic order by position limit 1), 1) - 1`

// bounds are below and at which positions the rows are that parts are cut of.
const bounds = `
select coalesce(@low::bigint, greatest(` + belowNew + `, ` + belowAll + `)), (select last_value from tactus.outbox_position)`

// What a batch that begins something has: all of its rows, or none yet, from where parts follow.
const (
	foundAll = `found as materialized (
    select count(*) as rows, min(position) as first, max(position) as last, false as more %s
)`
	foundBelow = `found as materialized (
    select 0::bigint as rows, low + 1 as first, low as last, true as more
    from (select greatest(least(` + belowNew + `, (select oldest from old) - 1), ` + belowAll + `) as low) below
)`
)

// part cuts the first part behind a batch, or the part that follows one.
func (r *Reader) part(ctx context.Context, after Batch) (b Batch, cut bool, err error) {
	p, err := r.begin(ctx, after)
	if err != nil {
		return Batch{}, false, err
	}
	if r.width == 0 {
		r.width = widest
	}
	for r.width = max(1, min(r.width, p.high-p.low)); ; r.width = max(1, r.width/2) {
		b, cut, err = r.cutPart(ctx, after, p)
		if !tookTooLong(err) || ctx.Err() != nil || r.width == 1 {
			break
		}
	}
	if err == nil {
		r.width *= 2
	}
	return b, cut, err
}

// span is what is left to be cut: positions above low, up to high.
type span struct{ low, high int64 }

func (r *Reader) begin(ctx context.Context, after Batch) (s span, err error) {
	ctx, cancel := r.bounded(ctx)
	defer cancel()
	args := r.args()
	args["number"], args["previous"], args["less"], args["low"] = after.Number+1, string(after.Snapshot), lessSure, nil
	if after.More {
		args["low"] = after.Last
	}
	rows, err := r.q.Query(ctx, bounds, pgx.QueryExecModeExec, args)
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
	rows := inNext
	if after.More {
		args["previous"], args["pinned"], args["part_of"] = string(after.Previous), string(after.Snapshot), cmp.Or(after.PartOf, after.Number)
		args["kind"], args["from"], args["since"] = string(after.Kind), after.From, after.Since
		rows = r.words(after)
	}
	args["low"], args["upto"], args["more"] = s.low, s.low+r.width, s.low+r.width < s.high
	return oneBatch(ctx, r.q, cutPart(rows), args)
}

func cutPart(rows string) string {
	rows = strings.ReplaceAll(byPosition(rows), "@snapshot::pg_snapshot", "(select snapshot from cut)")
	return fmt.Sprintf(cutPartSQL, rows+` and position > @low::bigint and position <= @upto::bigint`)
}

// A part is there though it has no rows: it keeps the snapshot, and how far it has come.
const cutPartSQL = `
with cut as materialized (
    select case when current_setting('synchronous_commit') <> 'remote_apply' then set_config('synchronous_commit', 'on', true) end,
        coalesce(@pinned::pg_snapshot, pg_current_snapshot()) as snapshot
), ` + here + `,
fresh as materialized (
    select count(*) as rows, max(position) as last %s
),
made as (
    insert into tactus.relay_batches (sink, number, epoch, previous, snapshot, row_count, first_position, last_position, more, part_of,
        part_kind, from_position, since)
    select @sink, @number::bigint, epoch, @previous::pg_snapshot, snapshot, rows, @low::bigint + 1,
        case when @more::boolean then @upto::bigint else coalesce(last, @low::bigint) end, @more::boolean, @part_of::bigint,
        nullif(@kind, 'next'), @from::bigint, @since::timestamptz
    from tactus.relay_sinks s, here, cut, fresh
    where sink = @sink and epoch = @epoch and ` + isCut + `
        and (s.timeline, s.system_identifier) = (here.timeline, here.system_identifier)
        and (@pinned::pg_snapshot is not null or pg_snapshot_xmax(snapshot) >= pg_snapshot_xmax(@previous::pg_snapshot))
    on conflict do nothing
    returning *
)` + madeOrThere + `
`

const rowsBefore = `
select coalesce(sum(row_count), 0)::bigint from tactus.relay_batches where sink = $1 and number >= $2::bigint and number < $3::bigint`

// RowsBefore is how many rows the parts before b have.
func RowsBefore(ctx context.Context, q outbox.Querier, sink string, b Batch) (n int64, err error) {
	if b.PartOf == 0 {
		return 0, nil
	}
	rows, err := q.Query(ctx, rowsBefore, pgx.QueryExecModeExec, sink, b.PartOf, b.Number)
	if err == nil {
		n, err = pgx.CollectExactlyOneRow(rows, pgx.RowTo[int64])
	}
	if err != nil {
		return 0, fmt.Errorf("count the rows of parts: %w", err)
	}
	return n, nil
}
