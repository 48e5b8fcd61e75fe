package ledger

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/internal/sqlexpr"
	"github.com/tactus-dev/tactus/outbox"
)

// State is what PostgreSQL knows of a sink. If the sink is not registered, only Now and Standby are set.
type State struct {
	Now        time.Time
	Standby    bool // the server is a standby: it takes no writes, and its snapshots cannot be compared
	Registered bool
	Topic      string
	Epoch      string
	Same       bool            // the epoch began on this server and timeline
	WentBack   bool            // the snapshot of the newest batch is ahead of this server
	Opened     int64           // the number of the opening
	After      ID              // where the sink was when the epoch began
	Floor      int64           // the highest position that was visible to the opening; see the package's documentation
	Late       outbox.Snapshot // lists as running the transactions that the opening did not see
	Seen       string          // an int8range[]: positions of rows that the opening saw although Late lists their xid
	Stopped    string          // why no relay can serve the sink; empty when relays can
	Confirmed  ID              // up to where the sink is known to have taken rows
	Oldest     int64           // the number of the oldest batch that is kept
	Again      int64           // the number of the newest batch of kind again behind Confirmed; 0 when there is none
	Newest     Batch           // the newest batch; its Number is 0 when there is none
}

// End returns the place of the last row of the newest batch.
func (l State) End() ID { return ID{l.Newest.Number, l.Newest.Rows} }

// ReadState reads what PostgreSQL knows of a sink.
func ReadState(ctx context.Context, q outbox.Querier, sink string) (State, error) {
	var l State
	b := &l.Newest
	rows, err := q.Query(ctx, readStateSQL, pgx.QueryExecModeExec, pgx.NamedArgs{"sink": sink})
	if err == nil {
		_, err = pgx.ForEachRow(rows, []any{
			&l.Now, &l.Standby, &l.Registered, &l.Topic, &l.Epoch, &l.Same, &l.WentBack, &l.Opened, &l.After.Batch, &l.After.Seq,
			&l.Floor, &l.Late, &l.Seen, &l.Stopped, &l.Confirmed.Batch, &l.Confirmed.Seq, &l.Oldest, &l.Again,
			&b.Number, &b.Epoch, &b.Kind, &b.Previous, &b.Snapshot, &b.Rows, &b.First, &b.Last, &b.From, &b.Since, &b.CommittedAt,
			&b.More, &b.PartOf,
		}, func() error { return nil })
	}
	if err != nil {
		return State{}, fmt.Errorf("read the state of sink %s: %w", sink, err)
	}
	return l, nil
}

// serverSQL is the CTE that identifies the server and its timeline. The timeline is empty on a standby, which has no
// write position to read it from, and on which no batch is cut.
const serverSQL = `server as materialized (
    select pg_is_in_recovery() as standby, ` + sqlexpr.SystemIdentifier + ` as system_identifier,
        case when pg_is_in_recovery() then '' else ` + sqlexpr.Timeline + ` end as timeline
)`

const readStateSQL = `
with ` + serverSQL + `
select clock_timestamp(), server.standby, s.sink is not null, coalesce(s.topic, ''), coalesce(s.epoch, ''),
    coalesce((s.timeline, s.system_identifier) = (server.timeline, server.system_identifier), false),
    coalesce(pg_snapshot_xmax(pg_current_snapshot()) < pg_snapshot_xmax(b.snapshot), false),
    coalesce(s.opened, 0), coalesce(s.after_batch, 0), coalesce(s.after_place, 0),
    coalesce(s.floor, 0), coalesce(s.late, '1:1:')::text, coalesce(s.seen, '{}')::text, coalesce(s.stopped, ''),
        coalesce(s.confirmed_batch, 0), coalesce(s.confirmed_place, 0),
    coalesce((select min(number) from tactus.relay_batches where sink = @sink), 0),
    coalesce((select max(number) from tactus.relay_batches where sink = @sink and number > s.confirmed_batch and kind = 'again'), 0),
    coalesce(b.number, 0), coalesce(b.epoch, ''), coalesce(b.kind, ''), coalesce(b.previous, '1:1:')::text,
    coalesce(b.snapshot, '1:1:')::text, coalesce(b.row_count, 0), coalesce(b.first_position, 0),
        coalesce(b.last_position, 0),
    b.from_position, b.since, coalesce(b.committed_at, now()), coalesce(b.more, false), coalesce(b.part_of, 0)
from server left join tactus.relay_sinks s on s.sink = @sink
left join lateral (select * from tactus.relay_batches where sink = @sink order by number desc limit 1) b on true`

var oldestLackingSQL = `
select min(` + sqlexpr.OccurredAt + `) from tactus.outbox, (
    select coalesce((select case when not more and (number < @batch::bigint or row_count <= @place::bigint) then snapshot else previous end
        from tactus.relay_batches where sink = @sink and number <= @batch::bigint order by number desc
            limit 1), '1:1:') as had,
        coalesce((select late from tactus.relay_sinks where sink = @sink), '1:1:') as late,
        coalesce((select seen from tactus.relay_sinks where sink = @sink), '{}') as seen,
        coalesce((select floor from tactus.relay_sinks where sink = @sink), 0) as floor
) s
where topic = @topic and ` + sqlexpr.NotSeen("had") + `
    and ` + sqlexpr.AfterOpening("floor", "late", "seen")

// Oldest returns when the oldest row occurred that a sink which has reached p still lacks, or the zero time if it lacks
// none.
func Oldest(ctx context.Context, q outbox.Querier, sink, topic string, p ID) (time.Time, error) {
	rows, err := q.Query(ctx, oldestLackingSQL, pgx.QueryExecModeExec,
		pgx.NamedArgs{"sink": sink, "topic": topic, "batch": p.Batch, "place": p.Seq})
	if err != nil {
		return time.Time{}, fmt.Errorf("read oldest row: %w", err)
	}
	at, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[*time.Time])
	if err != nil || at == nil {
		return time.Time{}, err
	}
	return *at, nil
}

// Opening describes the beginning of an epoch. Its first batch has the rows that Previous does not show, and older rows
// as far back as the earliest of Replay, From and Since says.
type Opening struct {
	Sink, Topic string
	Was         string // the epoch that ends; empty when the sink is not registered
	Epoch       string
	Kind        BatchKind
	Number      int64
	Previous    outbox.Snapshot
	After       ID            // the place that the sink has reached
	Replay      int64         // include rows from the oldest one of this batch on, and those of an hour before; 0: none
	From        int64         // include rows from this position on; 0: none
	Since       *time.Time    // include rows that occurred since then; nil: none
	Reason      string        // why the epoch begins
	WentBack    bool          // the database may have lost the end of the log
	Letters     []int64       // ids of dead letters to delete, because the opening publishes their rows
	Patience    time.Duration // how long cutting the first batch whole may take; 0: as long as the statement may take
}

// Open begins an epoch on this server. It returns false, and changes nothing, if the epoch o.Was has ended already. So
// of two relays that open an epoch at once only one succeeds.
func Open(ctx context.Context, q outbox.Querier, o Opening) (bool, error) {
	made, err := openWith(ctx, q, openEpochSQL, o)
	if tookTooLong(err) {
		made, err = openWith(ctx, q, openEpochInPartsSQL, o)
	}
	if err != nil {
		return false, fmt.Errorf("open epoch of sink %s: %w", o.Sink, err)
	}
	return made, nil
}

func openWith(ctx context.Context, q outbox.Querier, sql string, o Opening) (bool, error) {
	if o.Patience > 0 {
		bounded, cancel := context.WithTimeout(ctx, o.Patience)
		defer cancel()
		ctx = bounded
	}
	if len(o.Letters) == 0 {
		sql = strings.Replace(sql, settledSQL, "", 1)
	}
	rows, err := q.Query(ctx, sql, pgx.QueryExecModeExec, pgx.NamedArgs{
		"sink": o.Sink, "topic": o.Topic, "was": o.Was, "epoch": o.Epoch, "kind": string(o.Kind), "number": o.Number,
		"previous": string(o.Previous), "after_batch": o.After.Batch, "after_place": o.After.Seq, "replay": o.Replay, "since": o.Since,
		"from": o.From, "letters": o.Letters, "reason": o.Reason, "went_back": o.WentBack, "less": positionMargin,
	})
	if err != nil {
		return false, err
	}
	made, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	return len(made) > 0, err
}

// openEpochFormat opens an epoch by one statement, so that all its parts see the same snapshot S. Its CTEs:
//
//	mine    the number of this transaction, drawn after S was taken
//	late    S, made stricter: all of S' running transactions, and every number from xmax(S) up to mine, count as running
//	seen    the positions of visible rows whose xid late counts as running
//	old     the position from which rows are published again, whatever Previous shows
//	edge    all of these, and floor, the highest visible position
//
// Invariant: a row that is committed after S has a position above floor, or an xid that late counts as running. Proof:
// if its transaction drew its number before mine, late lists the number, because S does not show the transaction.
// Otherwise the transaction drew its number after mine, and its positions after its number, so these positions lie
// above all positions that were visible.
//
// The converse needs seen. After a restore, a visible row may have the number of a transaction that is running on this
// server now. Its position is below floor, but late lists its xid, so without seen the row would be published by the
// opening and once more by a later batch.
//
// old is at most the position behind the last row of all batches. On another server, transaction numbers of new rows
// may be low, so that Previous seems to show rows which no batch ever had.
const openEpochFormat = takeSnapshotSQL + `, ` + serverSQL + `,
mine as materialized (select pg_current_xact_id()::text::bigint as xid from cut),
late as materialized (
    select (pg_snapshot_xmin(snapshot)::text || ':' || mine.xid || ':' || coalesce((
        select string_agg(x::text, ',' order by x) from (
            select pg_snapshot_xip(snapshot)::text::bigint as x
            union select generate_series(pg_snapshot_xmax(snapshot)::text::bigint, mine.xid - 1)
        ) running), ''))::pg_snapshot as late
    from cut, mine
),
seen as materialized (
    select coalesce(array_agg(int8range(first, last, '[]')), '{}') as seen from (
        select min(position) as first, max(position) as last from (
            select position, position - row_number() over (order by position) as island
            from late, pg_snapshot_xip(late) as running (id), lateral (
                select position from tactus.outbox where topic = @topic and ` + ofRunningSQL + ` offset 0) as given
        ) rows group by island
    ) islands
),
old as materialized (
    select least(nullif(@from::bigint, 0),
        (select coalesce(max(last_position), (select floor from tactus.relay_sinks where sink = @sink), 0) + 1
            from tactus.relay_batches where sink = @sink),
    case when @replay::bigint > 0 then coalesce(
        (select min(first_position) from tactus.relay_batches where sink = @sink and committed_at >= (
            select committed_at - interval '1 hour' from tactus.relay_batches where sink = @sink
                and number = @replay::bigint)),
        (select first_position from tactus.relay_batches where sink = @sink and first_position is not null order by number desc limit 1))
    when @since::timestamptz is not null then
        (select min(first_position) from tactus.relay_batches where sink = @sink and committed_at >= @since::timestamptz)
    end) as oldest
),
edge as materialized (
    select snapshot, late, seen, oldest,
        coalesce((select max(position) from tactus.outbox where topic = @topic), 0) as floor from cut, late, seen, old
),
%s,
opened as (
    insert into tactus.relay_sinks as s (sink, topic, epoch, timeline, system_identifier, opened, after_batch, after_place,
        floor, late, seen, confirmed_batch, confirmed_place)
    select @sink, @topic, @epoch, timeline, system_identifier, @number::bigint, @after_batch::bigint, @after_place::bigint,
        floor, late, seen, @number::bigint, 0
    from server, edge
    on conflict (sink) do update set epoch = excluded.epoch, timeline = excluded.timeline,
        system_identifier = excluded.system_identifier, opened = excluded.opened, after_batch = excluded.after_batch,
        after_place = excluded.after_place, floor = excluded.floor, late = excluded.late, seen = excluded.seen, stopped = null,
        confirmed_batch = excluded.confirmed_batch, confirmed_place = excluded.confirmed_place
    where s.epoch = @was
    returning sink
),
kept as (
    insert into tactus.relay_epochs (sink, epoch, number, reason, went_back, timeline, system_identifier, after_batch, after_place,
        log_batch, log_place, known_until)
    select opened.sink, @epoch, @number::bigint, @reason, @went_back::boolean, timeline, system_identifier, @after_batch::bigint, @after_place::bigint,
        coalesce(b.number, 0), coalesce(b.row_count, 0), b.committed_at
    from opened, server left join lateral (
        select number, row_count, committed_at from tactus.relay_batches where sink = @sink order by number desc
            limit 1) b on true
)` + settledSQL + `
insert into tactus.relay_batches (sink, number, epoch, kind, previous, snapshot, row_count, first_position, last_position, from_position, since,
    more)
select sink, @number::bigint, @epoch, @kind, @previous::pg_snapshot, snapshot, rows, first, last, oldest, @since::timestamptz, more
from opened, edge, found
returning number`

// settledSQL deletes dead letters. It is left out if there are none to delete, since their table may be locked.
const settledSQL = `,
settled as (
    delete from tactus.deadletters where source = @sink and id = any (@letters::bigint[])
        and exists (select from opened)
)`

// openEpochSQL counts the rows of the opening by the same text by which they are read later. In place of the arguments
// of that text stand floor, late and seen of the epoch that is being opened.
var (
	openEpochSQL        = fmt.Sprintf(fmt.Sprintf(openEpochFormat, foundAllSQL), atTheEdge.Replace(rowsOfOpeningSQL))
	openEpochInPartsSQL = fmt.Sprintf(openEpochFormat, foundBelowSQL)
	atTheEdge           = strings.NewReplacer("@floor::bigint", "(select floor from edge)", "@late::pg_snapshot", "(select late from edge)",
		"any (@seen::int8range[])", "any ((select seen from edge)::int8range[])", "@snapshot::pg_snapshot", "(select snapshot from edge)",
		"@from::bigint", "(select oldest from edge)")
)
