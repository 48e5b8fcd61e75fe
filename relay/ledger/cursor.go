package ledger

import (
	"context"
	"fmt"
	"iter"
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
	opened      int64
	floor       int64
	late        outbox.Snapshot
	seen        string
	patience    time.Duration
	width       int64 // of the last part that was cut, twice; 0 while batches are whole
}

// Reader reads for a sink in the epoch of its life. A statement that takes longer than patience has failed.
func (l Life) Reader(q outbox.Querier, sink, topic string, patience time.Duration) *Reader {
	return &Reader{q, sink, topic, l.Epoch, l.Opened, l.Floor, l.Late, l.Seen, patience, 0}
}

func (r *Reader) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, r.patience)
}

func (r *Reader) args() pgx.NamedArgs {
	return pgx.NamedArgs{"sink": r.sink, "topic": r.topic, "epoch": r.epoch, "floor": r.floor, "late": string(r.late), "seen": r.seen}
}

// isNew is true of rows that the snapshot @previous had not seen. What was committed before the epoch began is old whatever its
// xid is: that may be one of another server.
var isNew = `(` + notSeen + `
    and ` + notOld + `)`

var notSeen = sqlexpr.NotSeen("@previous::pg_snapshot")

// ofOpen is true of rows of the transaction open.id. It is a range, whose size Postgres does not guess from the rows that there are: after
// one transaction has written most of them, it takes "xid = open.id" for true of half the table, and reads all of it.
const ofOpen = `xid >= open.id and xid <= open.id`

// isLate is true of rows that were committed after the epoch began, with a position from before. Those that were there then may
// have the xid of a transaction that was running: @seen has their positions.
const isLate = `(xid = any (array(select pg_snapshot_xip(@late::pg_snapshot))) and not position <@ any (@seen::int8range[]))`

const notOld = `(position > @floor::bigint or ` + isLate + `)`

// inSnapshot is true of rows that @snapshot can see. Most are older than all of what it cannot, which is sooner said.
const inSnapshot = `(xid < pg_snapshot_xmin(@snapshot::pg_snapshot) or pg_visible_in_snapshot(xid, @snapshot::pg_snapshot))`

// wasThere is true of rows that were committed when @snapshot was taken.
const wasThere = `(` + inSnapshot + ` or position <= @floor::bigint and not ` + isLate + `)`

const selectRows = `select position, aggregate_id, version, type, data, headers, ` + sqlexpr.OccurredAt

// The rows of a batch: they are counted and read by the same words. Of one that opens an epoch, what is new is told by its own
// xids alone: @floor is its own.
var (
	inNext  = ` from tactus.outbox where topic = @topic and ` + isNew + ` and ` + inSnapshot
	inAgain = ` from tactus.outbox where topic = @topic and ` + wasThere + `
    and (position >= @from::bigint and occurred_at >= coalesce(@since::timestamptz, '-infinity') or ` + isNew + `)`
	inOpening = ` from tactus.outbox where topic = @topic and ` + wasThere + `
    and (position >= @from::bigint and occurred_at >= coalesce(@since::timestamptz, '-infinity') or ` + notSeen + `)`
)

const onePage = ` and position > @after::bigint and position <= @last::bigint order by position limit @limit offset @offset`

// words tell the rows of a batch, and of the parts that follow it.
func (r *Reader) words(b Batch) string {
	switch {
	case b.Number == r.opened || b.PartOf == r.opened && b.PartOf > 0:
		return inOpening
	case b.Kind == AgainBatch:
		return inAgain
	}
	return inNext
}

func (r *Reader) rowsOf(b Batch) string {
	rows := r.words(b)
	if b.More || b.PartOf > 0 || dense(b.Rows, b.Last-b.First+1) {
		return byPosition(rows)
	}
	return rows
}

// dense reports whether to read rows by position, of which there are so many within a span. Few of many are found by xid; but
// that costs all of them for each page.
func dense(rows, span int64) bool { return rows > firstPage && span <= max(4, rows/pageRows)*rows }

// byPosition has rows found by position: no index knows what is new by these words. Where the planner knows little of a backlog
// that has just come, it would look through all of it, by xid, for each page.
func byPosition(rows string) string {
	return strings.ReplaceAll(rows, notSeen, `not pg_visible_in_snapshot(xid, @previous::pg_snapshot)`)
}

func (r *Reader) argsOf(b Batch) pgx.NamedArgs {
	args := r.args()
	args["previous"], args["snapshot"], args["from"], args["since"] = string(b.Previous), string(b.Snapshot), b.From, b.Since
	return args
}

// Count counts the rows of a batch. It is not what the batch says when rows of it are gone. What takes too long to count
// at once is counted in ranges of positions, halved until one passes.
func (r *Reader) Count(ctx context.Context, b Batch) (n int64, err error) {
	words, width := r.rowsOf(b), b.Last-b.First+1
	for first := b.First; first <= b.Last; {
		last := min(b.Last, first+width-1)
		counted, err := r.countRange(ctx, b, words, first, last)
		if tookTooLong(err) && ctx.Err() == nil && width > 1 {
			words, width = byPosition(r.words(b)), width/2
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
func (r *Reader) countRange(ctx context.Context, b Batch, words string, first, last int64) (int64, error) {
	ctx, cancel := r.bounded(ctx)
	defer cancel()
	args := r.argsOf(b)
	args["first"], args["last"] = first, last
	sql := `select count(*)` + words + ` and position >= @first::bigint and position <= @last::bigint`
	rows, err := r.q.Query(ctx, sql, pgx.QueryExecModeExec, args)
	if err != nil {
		return 0, err
	}
	return pgx.CollectExactlyOneRow(rows, pgx.RowTo[int64])
}

// One statement reads so many rows at first, and then about so many bytes, in no more rows than these: a reader that is
// stopped in the middle of it keeps a snapshot alive.
const (
	firstPage = 200
	pageBytes = 4 << 20
	pageRows  = 5000
)

// Rows streams the rows of a batch behind a place, by position, in statements of bounded size; the next one runs while the
// rows of one are used. A connection is taken for each.
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

// pages reads what Rows gives, until there is no more, an error, or nobody who wants it.
func (r *Reader) pages(ctx context.Context, b Batch, place int64, out chan<- page) {
	args := r.argsOf(b)
	args["after"], args["last"], args["offset"] = b.First-1, b.Last, place
	for left, limit := b.Rows-place, firstPage; left > 0; {
		limit = int(min(int64(limit), left))
		args["limit"] = limit
		p := r.page(ctx, selectRows+r.rowsOf(b)+onePage, args)
		select {
		case out <- p:
		case <-ctx.Done():
			return
		}
		if p.err != nil || len(p.rows) < limit {
			return
		}
		left -= int64(limit)
		args["after"], args["offset"] = p.rows[limit-1].Position, 0
		limit = max(1, min(pageRows, pageBytes*limit/max(1, p.size)))
	}
}

// planned has a statement planned for its own arguments each time, and its answer in binary, which is sooner read.
const planned = pgx.QueryExecModeCacheDescribe

func (r *Reader) page(ctx context.Context, sql string, args pgx.NamedArgs) (p page) {
	ctx, cancel := r.bounded(ctx)
	defer cancel()
	rows, err := r.q.Query(ctx, sql, planned, args)
	if err != nil {
		return page{err: err}
	}
	p.rows, p.err = pgx.AppendRows(make([]outbox.Row, 0, args["limit"].(int)), rows, scanRow)
	for _, row := range p.rows {
		p.size += len(row.Data) + len(row.Headers)
	}
	return p
}

// scanRow takes JSON as the bytes it came in: pgx would read through it twice for a json.RawMessage, which was two fifths
// of all that a relay computes. Types of our own it would find out about by reflection, row by row.
func scanRow(from pgx.CollectableRow) (r outbox.Row, err error) {
	err = from.Scan(&r.Position, (*[16]byte)(&r.Aggregate), &r.Version, (*string)(&r.Type), (*[]byte)(&r.Data), (*[]byte)(&r.Headers), &r.At)
	return r, err
}
