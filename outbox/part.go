package outbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// A backlog whose cut takes longer than statement_timeout, or our patience, is cut in parts: batches of the same two snapshots,
// each of a range of positions. Their order is that of positions, as within one batch, so a schedule's events stay in order. (By
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

// bounds are below and at which positions new rows are: those of transactions that began after a batch was cut are above its floor.
const bounds = `
with oldest as materialized (
    select least(pg_snapshot_xmax(@previous::pg_snapshot), (
        select min(open.id) from pg_snapshot_xip(@previous::pg_snapshot) as open (id),
            lateral (select from tactus.outbox where topic = @topic and xid = open.id limit 1) as committed)) as xid
)
select greatest(coalesce((select floor from tactus.relay_batches, oldest where sink = @sink and number < @number::bigint and own <= oldest.xid
    order by number desc limit 1), 0) - @less::bigint, 0), (select last_value from tactus.outbox_position)`

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
	args["number"], args["previous"], args["less"] = after.Number+1, string(after.Snapshot), lessSure
	rows, err := r.q.Query(ctx, bounds, pgx.QueryExecModeExec, args)
	if err == nil {
		_, err = pgx.ForEachRow(rows, []any{&s.low, &s.high}, func() error { return nil })
	}
	if err != nil {
		return s, fmt.Errorf("look how far the log goes: %w", err)
	}
	if after.More {
		s.low = after.Last
	}
	return s, nil
}

func (r *Reader) cutPart(ctx context.Context, after Batch, s span) (Batch, bool, error) {
	ctx, cancel := r.bounded(ctx)
	defer cancel()
	args := r.args()
	args["number"], args["previous"], args["cut"] = after.Number+1, string(after.Snapshot), string(after.Snapshot)
	args["pinned"], args["part_of"] = nil, nil
	if after.More {
		args["previous"], args["pinned"], args["part_of"] = string(after.Previous), string(after.Snapshot), cmp.Or(after.PartOf, after.Number)
	}
	args["low"], args["upto"], args["more"] = s.low, s.low+r.width, s.low+r.width < s.high
	return oneBatch(ctx, r.q, cutPart, args)
}

var cutPart = cutting(cutPartSQL, byPosition(inNext)+` and position > @low::bigint and position <= @upto::bigint`)

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
    insert into tactus.relay_batches (sink, number, epoch, previous, snapshot, row_count, first_position, last_position, more, part_of)
    select @sink, @number::bigint, epoch, @previous::pg_snapshot, snapshot, rows, @low::bigint + 1,
        case when @more::boolean then @upto::bigint else coalesce(last, @low::bigint) end, @more::boolean, @part_of::bigint
    from tactus.relay_sinks s, here, cut, fresh
    where sink = @sink and epoch = @epoch and ` + isCut + `
        and (s.timeline, s.system_identifier) = (here.timeline, here.system_identifier)
        and pg_snapshot_xmax(snapshot) >= pg_snapshot_xmax(@previous::pg_snapshot)
    on conflict do nothing
    returning *
)` + madeOrThere + `
`

const rowsBefore = `
select coalesce(sum(row_count), 0)::bigint from tactus.relay_batches where sink = $1 and number >= $2::bigint and number < $3::bigint`

// RowsBefore is how many rows the parts before b have.
func RowsBefore(ctx context.Context, q querier, sink string, b Batch) (n int64, err error) {
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
