package ledger

import (
	"cmp"
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/outbox"
)

// A pager reads the rows of a batch, one page after another. No pager lets PostgreSQL sort rows: the planner does not
// know the size of a backlog that has just arrived, expects it to be small, and would for each page read all that is
// left of the backlog and sort it on disk. Instead, each page is bounded by a condition on an index, and this process
// sorts its rows.
//
//	window     a range of positions. It may hold rows that are not in the batch, which are read for nothing.
//	positions  rows by their positions, which were read beforehand by xid. No other row is read, but each row twice.
//
// A window has at most as many rows as positions, so its width bounds the number of rows of the page.
type pager interface {
	// read returns the next rows, at most n of them. It returns the same rows until advance is called.
	read(ctx context.Context, n int) page
	// advance moves behind the rows of the last read, which was called with the same n.
	advance(n int)
	over() bool
}

// failedPager is a pager whose every page is an error.
type failedPager struct{ err error }

func (f failedPager) read(context.Context, int) page { return page{err: f.err} }
func (f failedPager) advance(int)                    {}
func (f failedPager) over() bool                     { return false }

const (
	windowSQL    = ` and position > @after::bigint and position <= @upto::bigint`
	fromFirstSQL = ` and position >= @first::bigint`
)

// window is a pager for the rest of a range of positions.
type window struct {
	r           *Reader
	sql         string
	args        pgx.NamedArgs
	after, last int64
}

func (w *window) over() bool    { return w.after >= w.last }
func (w *window) advance(n int) { w.after += int64(n) }

func (w *window) read(ctx context.Context, n int) page {
	w.args["after"], w.args["upto"] = w.after, min(w.last, w.after+int64(n))
	return w.r.page(ctx, w.sql, w.args, n)
}

// atPositionsSQL looks up each row by itself. With "position = any (...)" PostgreSQL might scan all positions instead.
const atPositionsSQL = ` from unnest(@positions::bigint[]) as place (at),
    lateral (
        select position, aggregate_id, version, type, data, headers, occurred_at from tactus.outbox
        where topic = @topic and position = place.at offset 0
    ) one`

// scattered is a pager for rows that lie far apart.
type scattered struct {
	r         *Reader
	positions []int64
}

func (s *scattered) over() bool    { return len(s.positions) == 0 }
func (s *scattered) advance(n int) { s.positions = s.positions[min(n, len(s.positions)):] }

func (s *scattered) read(ctx context.Context, n int) page {
	args := s.r.args()
	args["positions"] = s.positions[:min(n, len(s.positions))]
	return s.r.page(ctx, s.r.selecting()+atPositionsSQL, args, n)
}

// mostScattered is how many positions may be kept in memory, at 8 bytes each.
const mostScattered = 1_000_000

// areScattered reports whether to read the rows of a batch by their positions rather than by windows from the first
// position to the last. Rows within pageRows positions never count as scattered, since one window has all of them.
func areScattered(b Batch) bool {
	return fitInMemory(b) && b.Last-b.First+1 > max(pageRows, 4*b.Rows)
}

// fitInMemory reports whether the positions of a batch can be read by xid and kept in memory.
func fitInMemory(b Batch) bool { return !b.More && b.PartOf == 0 && b.Rows <= mostScattered }

// pagerOf returns a pager for the rows of a batch without the first place rows.
func (r *Reader) pagerOf(ctx context.Context, b Batch, place int64) (pager, error) {
	if areScattered(b) || r.isHeavy(b) && fitInMemory(b) && b.Last-b.First+1 > 4*b.Rows {
		positions, err := r.positions(ctx, b)
		if err == nil {
			return &scattered{r, positions[min(int(place), len(positions)):]}, nil
		}
		if !tookTooLong(err) || ctx.Err() != nil {
			return nil, err
		}
	}
	rows := byPosition(r.rowsSQL(b))
	after, err := r.skip(ctx, b, rows, place)
	if err != nil {
		return nil, err
	}
	return &window{r, r.selecting() + rows + windowSQL, r.argsOf(b), after, b.Last}, nil
}

const selectPositionsSQL = `select position`

// positions returns the positions of the rows of a batch, sorted.
func (r *Reader) positions(ctx context.Context, b Batch) ([]int64, error) {
	ctx, cancel := r.bounded(ctx)
	defer cancel()
	args := r.argsOf(b)
	args["first"] = b.First
	rows, err := r.q.Query(ctx, selectPositionsSQL+r.byXidSQL(b)+fromFirstSQL, planned, args)
	if err != nil {
		return nil, err
	}
	all, err := pgx.AppendRows(make([]int64, 0, b.Rows), rows, pgx.RowTo[int64])
	slices.Sort(all)
	return all, err
}

// skip returns the position of the place-th row of a batch, behind which reading starts. It counts the rows of one
// window after another. A window has as many positions as rows are still to be skipped, so it cannot contain more rows
// than that.
func (r *Reader) skip(ctx context.Context, b Batch, rows string, place int64) (after int64, err error) {
	after = b.First - 1
	for width := place; place > 0 && after < b.Last; width = min(width, place) {
		upto := min(b.Last, after+width)
		n, err := r.countRange(ctx, b, rows, after+1, upto)
		if tookTooLong(err) && ctx.Err() == nil && width > 1 {
			width /= 2
			continue
		}
		if err != nil {
			return 0, err
		}
		place, after = place-n, upto
	}
	return after, nil
}

func byTheirPositions(a, b outbox.Row) int { return cmp.Compare(a.Position, b.Position) }
