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

// Reader cuts and reads the batches of one sink in one epoch. Each of its statements is a transaction of its own, and
// is planned for its arguments: a generic plan does not know how few rows are new, and was 257 times slower.
type Reader struct {
	q           outbox.Querier
	sink, topic string
	epoch       string
	opened      int64           // the number of the opening
	floor       int64           // see State
	late        outbox.Snapshot // the same
	seen        string          // the same
	patience    time.Duration   // how long one statement may take
	width       int64           // how many positions the next part is to span; 0 while batches are whole
	only        string          // an SQL condition: data is read of rows that meet it; "" for all rows
	rowSize     int             // the mean size in bytes of the rows of the last page; 0 before the first
	largest     int             // the size in bytes of the largest row of recent pages; it decays with each page
}

// Reader returns a reader for a sink in the epoch of l. A statement that takes longer than patience fails.
func (l State) Reader(q outbox.Querier, sink, topic string, patience time.Duration) *Reader {
	return &Reader{q, sink, topic, l.Epoch, l.Opened, l.Floor, l.Late, l.Seen, patience, 0, "", 0, 0}
}

// Only makes r read the data of only those rows that meet an SQL condition; "" stands for all rows. Batches still count
// all rows of their topic, so the places of rows do not change.
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
// A batch after the opening has the rows of the upper left field, except those that the opening had (afterOpeningSQL):
// in a restored database, the transaction number that another server gave to such a row may put it into this field.
var (
	notSeenSQL      = sqlexpr.NotSeen("@previous::pg_snapshot")
	afterOpeningSQL = sqlexpr.AfterOpening("@floor::bigint", "@late::pg_snapshot", "@seen::int8range[]")
	isNewSQL        = `(` + notSeenSQL + `
    and ` + afterOpeningSQL + `)`

	// wasThereSQL is true for rows that were committed when @snapshot was taken. Rows that were committed when the
	// epoch began are among them, whatever @snapshot says about their transaction numbers.
	wasThereSQL = `(` + inSnapshotSQL + ` or ` + sqlexpr.BeforeOpening("@floor::bigint", "@late::pg_snapshot", "@seen::int8range[]") + `)`
)

// inSnapshotSQL is true for rows that @snapshot shows. Its first condition is implied by the second one, and only saves
// time: most rows are older than every transaction that was running, and comparing two numbers is cheaper than
// searching the snapshot.
const inSnapshotSQL = `(xid < pg_snapshot_xmin(@snapshot::pg_snapshot) or pg_visible_in_snapshot(xid, @snapshot::pg_snapshot))`

// ofRunningSQL is true for rows that the transaction running.id wrote. It is written as a range because PostgreSQL does
// not estimate the size of such a range from statistics. After one transaction has written most of the table, the
// planner expects "xid = running.id" to match half of the table, and scans all of it.
const ofRunningSQL = `xid >= running.id and xid <= running.id`

const (
	selectRowsSQL     = `select position, aggregate_id, version, type, data, headers, ` + sqlexpr.OccurredAt
	selectRowsOnlySQL = `select position, aggregate_id, version, type, case when %[1]s then data end, case when %[1]s then headers end, ` +
		sqlexpr.OccurredAt
)

// The rows of a batch, by its kind, as the end of a statement. The statement that cuts the batch counts them, and the
// one that reads the batch selects them, by the very same text. So the count can only differ from the rows that are
// read if rows are gone.
//
// An opening has no earlier batch in its epoch, so P alone says which rows are new; afterOpeningSQL would be false for
// all of them.
var (
	rowsOfNextSQL  = ` from tactus.outbox where topic = @topic and ` + isNewSQL + ` and ` + inSnapshotSQL
	rowsOfAgainSQL = ` from tactus.outbox where topic = @topic and ` + wasThereSQL + `
    and (position >= @from::bigint and occurred_at >= coalesce(@since::timestamptz, '-infinity') or ` + isNewSQL + `)`
	rowsOfOpeningSQL = ` from tactus.outbox where topic = @topic and ` + wasThereSQL + `
    and (position >= @from::bigint and occurred_at >= coalesce(@since::timestamptz, '-infinity') or ` + notSeenSQL + `)`
)

// nextByXidSQL is rowsOfNextSQL in a form that PostgreSQL answers from the index on xid, whatever its statistics say.
// About a new partition it has no statistics: it expects a condition on the topic to match one row in 200, and would
// therefore scan the index on position. So the statement names the table of the topic instead (see ofTopic). The
// planner expects a range of transaction numbers with two bounds to be small, and to find the rows of one running
// transaction it has only the index on xid.
var nextByXidSQL = ` from (
    select position, xid, aggregate_id, version, type, data, headers, occurred_at from tactus.outbox_run
    where xid >= pg_snapshot_xmax(@previous::pg_snapshot) and xid < pg_snapshot_xmax(@snapshot::pg_snapshot)
    union all
    select late.* from unnest(@running::xid8[]) as running (id), lateral (
        select position, xid, aggregate_id, version, type, data, headers, occurred_at from tactus.outbox_run where ` + ofRunningSQL + ` offset 0) late
) fresh where ` + afterOpeningSQL + ` and ` + inSnapshotSQL

// ofTopic replaces the table of runs in a statement by the table of the reader's topic.
func (r *Reader) ofTopic(sql string) string {
	return strings.ReplaceAll(sql, "tactus.outbox_run", "tactus.outbox_"+r.topic)
}

// byXidSQL returns the text that selects the rows of a batch by xid if there is such a text, or else that of rowsSQL.
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

// byPosition rewrites the text that selects rows so that no index on xid can answer it, and the planner has to use the
// index on position. The planner does not know the size of a backlog that has just arrived; it would search the whole
// backlog by xid for each page.
func byPosition(rows string) string {
	return strings.ReplaceAll(rows, notSeenSQL, `not pg_visible_in_snapshot(xid, @previous::pg_snapshot)`)
}

// running returns the transactions that were running when a snapshot was taken, as the text of a PostgreSQL array. As
// an argument of its own the array has a length that the planner sees; for a set that pg_snapshot_xip returns it would
// guess 50.
func running(s outbox.Snapshot) string {
	return "{" + string(s[strings.LastIndexByte(string(s), ':')+1:]) + "}"
}

func (r *Reader) argsOf(b Batch) pgx.NamedArgs {
	args := r.args()
	args["running"] = running(b.Previous)
	args["previous"], args["snapshot"], args["from"], args["since"] = string(b.Previous), string(b.Snapshot), b.From, b.Since
	return args
}

// Count counts the rows that a batch has now. If the result is not b.Rows, rows of the batch are gone. A count that
// takes too long is divided into ranges of positions, which are halved until a count is fast enough.
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
	return r.queryNumber(ctx, `select count(*)`+rowsSQL+fromFirstSQL+` and position <= @last::bigint`, b, first, last)
}

func (r *Reader) queryNumber(ctx context.Context, sql string, b Batch, first, last int64) (int64, error) {
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

// The first statement of a reader reads at most firstPage rows. Each further statement is to read about pageBytes, as
// estimated from the mean size of the rows before. It reads at most pageRows rows, and so few that they fit into
// mostBytes even if each is as large as the largest recent row. A statement that meets much larger rows is ended, and
// repeated for fewer rows. Statements are bounded because a process that is stopped in the middle of one keeps a
// snapshot of PostgreSQL alive, and so keeps vacuum from removing any row of the database that has died since.
const (
	firstPage = 200
	pageBytes = 4 << 20
	pageRows  = 5000
	mostBytes = 3 * pageBytes
)

// errTooMuch is the error of a page of several rows that was ended because it became too large.
var errTooMuch = errors.New("a page has become too large")

// firstRows returns how many rows the first statement for a batch may read, given the size of the rows that were read
// before.
func (r *Reader) firstRows() int {
	return r.atMost(min(firstPage, pageBytes/max(1, r.rowSize)))
}

// atMost returns n, or the smaller number of rows that fit into mostBytes if each is as large as the largest recent
// row.
func (r *Reader) atMost(n int) int { return max(1, min(n, mostBytes/max(1, r.largest))) }

// noteSizes updates the known sizes of rows with those of a page.
func (r *Reader) noteSizes(p page) {
	r.rowSize = p.size / max(1, len(p.rows))
	r.largest -= r.largest / 16
	for _, row := range p.rows {
		r.largest = max(r.largest, len(row.Data)+len(row.Headers))
	}
}

// isHeavy reports whether a batch is expected to exceed one page, given the size of recent rows.
func (r *Reader) isHeavy(b Batch) bool { return b.Rows*int64(r.rowSize) > pageBytes }

// Rows streams the rows of a batch by position, without the first place rows, in statements of bounded size. While the
// caller uses the rows of one statement, the next statement runs. Each statement takes a connection of its own.
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

// page is the result of one statement.
type page struct {
	rows []outbox.Row
	size int
	err  error
}

// pages sends the pages of Rows to out, until there are no more, one has failed, or the context ends. A page that takes
// too long is read again with half as many rows; a page that becomes too large is read again with as many rows as
// should fit.
func (r *Reader) pages(ctx context.Context, b Batch, place int64, out chan<- page) {
	if place >= b.Rows {
		return
	}
	rows, err := r.pagerOf(ctx, b, place)
	if err != nil {
		rows = failedPager{err}
	}
	n, most := r.firstRows(), pageRows
	if b.Rows <= int64(n) {
		n = pageRows // positions: the batch has at most n rows
	}
	for left := b.Rows - place; left > 0 && !rows.over(); {
		p := rows.read(ctx, n)
		if tookTooLong(p.err) && ctx.Err() == nil && n > 1 {
			most = n / 2
			n = most
			continue
		}
		if errors.Is(p.err, errTooMuch) && ctx.Err() == nil {
			r.noteSizes(p)
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
		rows.advance(n)
		left -= int64(len(p.rows))
		r.noteSizes(p)
		n = r.atMost(min(most, pageBytes*n/max(1, p.size)))
	}
}

// selecting returns the select list of a statement that reads rows.
func (r *Reader) selecting() string {
	if r.only == "" {
		return selectRowsSQL
	}
	return fmt.Sprintf(selectRowsOnlySQL, r.only)
}

// HasAny reports whether a batch has a row that meets the condition of Only. It counts such rows, because PostgreSQL
// then uses the partial index with this condition, which is small, whatever the planner expects of the table.
func (r *Reader) HasAny(ctx context.Context, b Batch) (bool, error) {
	sql := `select count(*)` + r.byXidSQL(b) + fromFirstSQL + ` and ` + r.only
	if b.More || b.PartOf > 0 {
		sql += ` and position <= @last::bigint`
	}
	n, err := r.queryNumber(ctx, sql, b, b.First, b.Last)
	if err != nil {
		return false, fmt.Errorf("look at batch %d: %w", b.Number, err)
	}
	return n > 0, nil
}

// planned makes PostgreSQL plan a statement for its arguments at each execution, and return results in binary form,
// which is cheaper to decode.
const planned = pgx.QueryExecModeCacheDescribe

// page runs a statement that returns at most n rows, and sorts them by position. If they become too large, it ends the
// statement and its connection instead of reading the remaining rows.
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

// scanRow takes JSON as the bytes that PostgreSQL sent. Into a json.RawMessage pgx would parse it twice, which took two
// fifths of a relay's processor time. The conversions to plain types keep pgx from examining tactus' types by
// reflection for each row.
func scanRow(from pgx.CollectableRow) (r outbox.Row, err error) {
	err = from.Scan(&r.Position, (*[16]byte)(&r.Aggregate), &r.Version, (*string)(&r.Type), (*[]byte)(&r.Data),
		(*[]byte)(&r.Headers), &r.At)
	return r, err
}
