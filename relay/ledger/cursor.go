package ledger

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/internal/sqlexpr"
	"github.com/tactus-dev/tactus/outbox"
)

// Reader cuts and reads the batches of one sink in one epoch. All its statements are transactions of their own, planned
// for their own arguments: a plan for any arguments does not know how few rows are new, and was 257 times slower.
type Reader struct {
	q           outbox.Querier
	sink, topic string
	epoch       string
	opened      int64           // the number of the opening
	floor       int64           // the edge of the opening; see State
	late        outbox.Snapshot // the same
	seen        string          // the same
	patience    time.Duration   // how long one statement may take
	width       int64           // how many positions the next part tries to have; 0 while batches are whole
	only        string          // the condition of rows whose data is read; "" for all
	rowSize     int             // bytes of a row, by the last page that was read; 0 when none was
	largest     int             // bytes of the largest row of late, less with each page
}

// Reader reads for a sink in the epoch of its life. A statement that takes longer than patience has failed.
func (l State) Reader(q outbox.Querier, sink, topic string, patience time.Duration) *Reader {
	return &Reader{q, sink, topic, l.Epoch, l.Opened, l.Floor, l.Late, l.Seen, patience, 0, "", 0, 0}
}

// Only has r read the data of those rows only that a condition of SQL is true of; "" for all. Batches have all rows of
// their topic, and places, all the same.
func (r *Reader) Only(condition string) *Reader {
	r.only = condition
	return r
}

func (r *Reader) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, r.patience)
}

func (r *Reader) args() pgx.NamedArgs {
	return pgx.NamedArgs{"sink": r.sink, "topic": r.topic, "epoch": r.epoch, "floor": r.floor, "late": string(r.late), "seen": r.seen}
}

// The predicates of the cursor (columns of tactus.outbox, unqualified). The package's documentation derives them:
// @previous is P, @snapshot is S, and @floor, @late and @seen describe the opening of the epoch.
//
//	                     shown by S                      not shown by S
//	not shown by P       in the batch (P, S)             in a later batch
//	shown by P           in an earlier batch             cannot be: P is not newer than S
//
// A batch after the opening takes the upper left field alone, less what the opening had (afterOpeningSQL): in a
// restored database a row may stand there by the number that another server gave it.
var (
	notSeenSQL      = sqlexpr.NotSeen("@previous::pg_snapshot")
	afterOpeningSQL = sqlexpr.AfterOpening("@floor::bigint", "@late::pg_snapshot", "@seen::int8range[]")
	isNewSQL        = `(` + notSeenSQL + `
    and ` + afterOpeningSQL + `)`

	// wasThereSQL is true of rows that were committed when @snapshot was taken. Rows that were there when the epoch
	// began count whatever @snapshot says of their numbers.
	wasThereSQL = `(` + inSnapshotSQL + ` or ` + sqlexpr.BeforeOpening("@floor::bigint", "@late::pg_snapshot", "@seen::int8range[]") + `)`
)

// inSnapshotSQL is true of rows that @snapshot shows. The first condition says nothing new. It is there because most
// rows are older than every transaction that was running, and comparing two numbers is cheaper than searching the
// snapshot.
const inSnapshotSQL = `(xid < pg_snapshot_xmin(@snapshot::pg_snapshot) or pg_visible_in_snapshot(xid, @snapshot::pg_snapshot))`

// ofRunningSQL is true of rows that the transaction running.id wrote. It is written as a range because PostgreSQL does
// not estimate the size of this range from statistics. When one transaction has written most of the table, the planner
// takes "xid = running.id" to match half of it, and reads all of it.
const ofRunningSQL = `xid >= running.id and xid <= running.id`

const (
	selectRowsSQL     = `select position, aggregate_id, version, type, data, headers, ` + sqlexpr.OccurredAt
	selectRowsOnlySQL = `select position, aggregate_id, version, type, case when %[1]s then data end, case when %[1]s then headers end, ` +
		sqlexpr.OccurredAt
)

// The rows of a batch, by its kind, as the end of a statement: what cuts the batch counts them and what reads it
// selects them by the very same text, so the count cannot differ from what is read unless rows are gone.
//
// An opening has no earlier batch in its epoch, so its new rows are told by P alone; afterOpeningSQL would be false of
// all.
var (
	rowsOfNextSQL  = ` from tactus.outbox where topic = @topic and ` + isNewSQL + ` and ` + inSnapshotSQL
	rowsOfAgainSQL = ` from tactus.outbox where topic = @topic and ` + wasThereSQL + `
    and (position >= @from::bigint and occurred_at >= coalesce(@since::timestamptz, '-infinity') or ` + isNewSQL + `)`
	rowsOfOpeningSQL = ` from tactus.outbox where topic = @topic and ` + wasThereSQL + `
    and (position >= @from::bigint and occurred_at >= coalesce(@since::timestamptz, '-infinity') or ` + notSeenSQL + `)`
)

// nextByXidSQL is rowsOfNextSQL in a form that PostgreSQL answers from the index on xid, whatever it knows of the
// table. Of a partition that is new it knows nothing, and takes any condition on the topic to match one row in 200: it
// would read the index of all positions to save itself a few rows. So the table of the topic is named instead; see
// ofTopic. A range of numbers with two ends it takes for small, and to find the rows of a number that was running it
// has only this index.
var nextByXidSQL = ` from (
    select position, xid, aggregate_id, version, type, data, headers, occurred_at from tactus.outbox_run
    where xid >= pg_snapshot_xmax(@previous::pg_snapshot) and xid < pg_snapshot_xmax(@snapshot::pg_snapshot)
    union all
    select late.* from unnest(@running::xid8[]) as running (id), lateral (
        select position, xid, aggregate_id, version, type, data, headers, occurred_at from tactus.outbox_run where ` + ofRunningSQL + ` offset 0) late
) fresh where ` + afterOpeningSQL + ` and ` + inSnapshotSQL

// ofTopic puts the table of the reader's topic into a text that names the table of runs.
func (r *Reader) ofTopic(sql string) string {
	return strings.ReplaceAll(sql, "tactus.outbox_run", "tactus.outbox_"+r.topic)
}

// byXidSQL returns the text that selects the rows of a batch by xid, where there is one.
func (r *Reader) byXidSQL(b Batch) string {
	if rows := r.rowsSQL(b); rows != rowsOfNextSQL || b.PartOf > 0 {
		return rows
	}
	return r.ofTopic(nextByXidSQL)
}

// rowsSQL returns the text that selects the rows of a batch. The parts that follow an opening have the same text as the
// opening.
func (r *Reader) rowsSQL(b Batch) string {
	switch {
	case b.Number == r.opened || b.PartOf == r.opened && b.PartOf > 0:
		return rowsOfOpeningSQL
	case b.Kind == AgainBatch:
		return rowsOfAgainSQL
	}
	return rowsOfNextSQL
}

// byPosition rewrites the text that selects rows so that no index can answer what is new; what is left is the index on
// position. The planner does not know yet how large a backlog is that has just come, and would look through all of it
// by xid for each page.
func byPosition(rows string) string {
	return strings.ReplaceAll(rows, notSeenSQL, `not pg_visible_in_snapshot(xid, @previous::pg_snapshot)`)
}

// running returns the transactions that were running when a snapshot was taken, as an array of PostgreSQL. Sent beside
// the snapshot, they are counted by the planner, which would take them for 50 otherwise.
func running(s outbox.Snapshot) string {
	return "{" + string(s[strings.LastIndexByte(string(s), ':')+1:]) + "}"
}

func (r *Reader) argsOf(b Batch) pgx.NamedArgs {
	args := r.args()
	args["running"] = running(b.Previous)
	args["previous"], args["snapshot"], args["from"], args["since"] = string(b.Previous), string(b.Snapshot), b.From, b.Since
	return args
}

// Count counts the rows that a batch has now. Another number than b.Rows means that rows of it are gone. A count that
// takes too long is made in ranges of positions, halved until one passes.
func (r *Reader) Count(ctx context.Context, b Batch) (n int64, err error) {
	rows, width := byPosition(r.rowsSQL(b)), b.Last-b.First+1
	if areScattered(b) {
		rows = r.byXidSQL(b)
	}
	for first := b.First; first <= b.Last; {
		last := min(b.Last, first+width-1)
		counted, err := r.countRange(ctx, b, rows, first, last)
		if tookTooLong(err) && ctx.Err() == nil && width > 1 {
			rows, width = byPosition(r.rowsSQL(b)), width/2
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("count batch %d: %w", b.Number, err)
		}
		n, first = n+counted, last+1
	}
	return n, nil
}

// countRange counts the rows of a batch at the positions from first to last.
func (r *Reader) countRange(ctx context.Context, b Batch, rowsSQL string, first, last int64) (int64, error) {
	return r.number(ctx, `select count(*)`+rowsSQL+fromFirstSQL+` and position <= @last::bigint`, b, first, last)
}

func (r *Reader) number(ctx context.Context, sql string, b Batch, first, last int64) (int64, error) {
	ctx, cancel := r.bounded(ctx)
	defer cancel()
	args := r.argsOf(b)
	args["first"], args["last"] = first, last
	rows, err := r.q.Query(ctx, sql, pgx.QueryExecModeExec, args)
	if err != nil {
		return 0, err
	}
	return pgx.CollectExactlyOneRow(rows, pgx.RowTo[int64])
}

// The first statement of a reader reads at most firstPage rows. Each further one reads about pageBytes, by the mean
// size of the rows before it, in at most pageRows rows, and so few that mostBytes has all of them if each is as large
// as the largest of late. One that comes upon rows that are much larger ends there, and is read again with fewer.
// Statements are bounded because a reader that is stopped in the middle of one keeps a snapshot of PostgreSQL alive,
// and with it every dead row of the database.
const (
	firstPage = 200
	pageBytes = 4 << 20
	pageRows  = 5000
	mostBytes = 3 * pageBytes
)

// errTooMuch ends a page of more than one row that has become too large.
var errTooMuch = errors.New("a page has become too large")

// firstRows returns how many rows the first statement for a batch may read, by what is known of the rows before it.
func (r *Reader) firstRows() int {
	return r.atMost(min(firstPage, pageBytes/max(1, r.rowSize)))
}

// atMost returns n, or how many rows are not too much if each is as large as the largest of late.
func (r *Reader) atMost(n int) int { return max(1, min(n, mostBytes/max(1, r.largest))) }

// sizes takes in what the rows of a page have.
func (r *Reader) sizes(p page) {
	r.rowSize = p.size / max(1, len(p.rows))
	r.largest -= r.largest / 16
	for _, row := range p.rows {
		r.largest = max(r.largest, len(row.Data)+len(row.Headers))
	}
}

// isHeavy reports whether a batch is more than a page by the size of its rows, as far as is known.
func (r *Reader) isHeavy(b Batch) bool { return b.Rows*int64(r.rowSize) > pageBytes }

// Rows streams the rows of a batch behind the given number of rows, by position, in statements of bounded size. While
// the caller uses the rows of one statement, the next one runs. Each takes a connection of its own.
func (r *Reader) Rows(ctx context.Context, b Batch, place int64) iter.Seq2[outbox.Row, error] {
	return func(yield func(outbox.Row, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		pages := make(chan page)
		var reading sync.WaitGroup
		defer reading.Wait()
		defer cancel()
		reading.Go(func() {
			defer close(pages)
			r.pages(ctx, b, place, pages)
		})
		for p := range pages {
			for _, row := range p.rows {
				if !yield(row, nil) {
					return
				}
			}
			if p.err != nil {
				yield(outbox.Row{}, fmt.Errorf("read batch %d: %w", b.Number, p.err))
				return
			}
		}
	}
}

// page is what one statement gave.
type page struct {
	rows []outbox.Row
	size int
	err  error
}

// pages reads what Rows gives, until there is no more, an error, or nobody who wants it. A page that takes longer than
// a statement may is read again with half as many rows, and one that is too large with as many as are not.
func (r *Reader) pages(ctx context.Context, b Batch, place int64, out chan<- page) {
	if place >= b.Rows {
		return
	}
	way, err := r.way(ctx, b, place)
	if err != nil {
		way = failed{err}
	}
	n, most := r.firstRows(), pageRows
	if b.Rows <= int64(n) {
		n = pageRows // positions; there are no more rows
	}
	for left := b.Rows - place; left > 0 && !way.over(); {
		p := way.read(ctx, n)
		if tookTooLong(p.err) && ctx.Err() == nil && n > 1 {
			most = n / 2
			n = most
			continue
		}
		if errors.Is(p.err, errTooMuch) && ctx.Err() == nil {
			r.sizes(p)
			n = r.atMost(n / 2)
			continue
		}
		select {
		case out <- p:
		case <-ctx.Done():
			return
		}
		if p.err != nil {
			return
		}
		way.advance(n)
		left -= int64(len(p.rows))
		r.sizes(p)
		n = r.atMost(min(most, pageBytes*n/max(1, p.size)))
	}
}

// selecting returns the beginning of a statement that reads rows.
func (r *Reader) selecting() string {
	if r.only == "" {
		return selectRowsSQL
	}
	return fmt.Sprintf(selectRowsOnlySQL, r.only)
}

// HasAny reports whether a batch has a row that the condition of Only is true of. It asks for their number, which is
// answered from an index that has this condition whatever the planner believes of the table: such an index is small.
func (r *Reader) HasAny(ctx context.Context, b Batch) (bool, error) {
	sql := `select count(*)` + r.byXidSQL(b) + fromFirstSQL + ` and ` + r.only
	if b.More || b.PartOf > 0 {
		sql += ` and position <= @last::bigint`
	}
	n, err := r.number(ctx, sql, b, b.First, b.Last)
	if err != nil {
		return false, fmt.Errorf("look at batch %d: %w", b.Number, err)
	}
	return n > 0, nil
}

// planned has PostgreSQL plan a statement for its own arguments each time, and answer in binary, which takes less to
// decode.
const planned = pgx.QueryExecModeCacheDescribe

// page runs a statement that gives at most n rows, and puts them in order. When they become too much, it ends the
// statement and its connection, rather than read what is left of them.
func (r *Reader) page(ctx context.Context, sql string, args pgx.NamedArgs, n int) (p page) {
	ctx, cancel := r.bounded(ctx)
	defer cancel()
	rows, err := r.q.Query(ctx, sql, planned, args)
	if err != nil {
		return page{err: err}
	}
	defer rows.Close()
	p.rows = make([]outbox.Row, 0, n)
	for rows.Next() {
		row, err := scanRow(rows)
		if err != nil {
			return page{err: err}
		}
		p.rows = append(p.rows, row)
		if p.size += len(row.Data) + len(row.Headers); p.size > mostBytes && n > 1 && len(p.rows) > 1 {
			cancel()
			return page{rows: p.rows, size: p.size, err: errTooMuch}
		}
	}
	p.err = rows.Err()
	slices.SortFunc(p.rows, byTheirPositions)
	return p
}

// scanRow takes JSON as the bytes that came. For a json.RawMessage pgx would parse it twice, which was two fifths of a
// relay's processor time. The conversions to plain types keep pgx from examining our own types by reflection, row by
// row.
func scanRow(from pgx.CollectableRow) (r outbox.Row, err error) {
	err = from.Scan(&r.Position, (*[16]byte)(&r.Aggregate), &r.Version, (*string)(&r.Type), (*[]byte)(&r.Data),
		(*[]byte)(&r.Headers), &r.At)
	return r, err
}
