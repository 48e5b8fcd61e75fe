package replay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/internal/cursor"
	"github.com/tactus-dev/tactus/internal/wait"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay"
	"github.com/tactus-dev/tactus/relay/cloudevents"
)

// Header is the metadata key that marks a replayed message. Its value is the time at which the replay began.
const Header = "tactus-replay"

// pageBytes is how many bytes of events a page has, unless it is one event.
const pageBytes = 4 << 20

// Run publishes the events of the plan that are not in the stream yet, at most rate events a second (0: no limit).
// After each page it calls progress with the number of events published so far, unless progress is nil.
func (t *Target) Run(ctx context.Context, pool *pgxpool.Pool, p Plan, rate int, progress func(int64)) error {
	if err := t.begin(ctx, p); err != nil {
		return err
	}
	pace := newPace(rate)
	var size cursor.Size
	for done := int64(0); ; {
		entries, err := p.read(ctx, pool, t.Position(), pace.of(&size), &size)
		if err != nil || len(entries) == 0 {
			return err
		}
		if t.mark, err = t.sink.Append(ctx, t.mark, entries); err != nil {
			return t.interrupted(err)
		}
		done += int64(len(entries))
		if progress != nil {
			progress(done)
		}
		if err := pace.wait(ctx, done); err != nil {
			return err
		}
	}
}

// begin stores the plan in the stream's mark, unless it is there.
func (t *Target) begin(ctx context.Context, p Plan) error {
	epoch, err := p.mark()
	if err != nil || t.mark.Epoch == epoch {
		return err
	}
	if t.mark.Epoch != "" {
		return refuse(t.key, "it holds another replay")
	}
	to := relay.Mark{Epoch: epoch, Last: t.mark.Last}
	if err := t.sink.Begin(ctx, t.mark, to); err != nil {
		return t.interrupted(err)
	}
	t.mark = to
	return nil
}

func (t *Target) interrupted(err error) error {
	if _, ok := errors.AsType[*relay.Mismatch](err); ok {
		return fmt.Errorf("another replay is writing to %s: %w", t.key, err)
	}
	return err
}

// read returns entries for the next events, in a page that is bounded in number and in bytes. PostgreSQL sends all that
// it is asked for, so no more is asked for than is likely to fit.
func (p Plan) read(ctx context.Context, pool *pgxpool.Pool, after int64, limit int, next *cursor.Size) (
	entries []relay.Entry, err error,
) {
	args := p.args(after)
	args["limit"] = limit
	rows, err := pool.Query(ctx, readChosen, args)
	if err != nil {
		return nil, fmt.Errorf("read log: %w", err)
	}
	defer rows.Close()
	largest := 0
	for size := 0; size < pageBytes && rows.Next(); {
		row, err := pgx.RowToStructByPos[outbox.Row](rows)
		if err != nil {
			return nil, fmt.Errorf("read log: %w", err)
		}
		entry := p.entry(row)
		entries = append(entries, entry)
		size, largest = size+len(row.Data), max(largest, len(row.Data))
	}
	next.Had(largest)
	rows.Close()
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read log: %w", err)
	}
	return entries, nil
}

// entry leaves the place of an event empty that somebody wrote by hand and no message can be made of: the relay has set
// it aside.
func (p Plan) entry(row outbox.Row) relay.Entry {
	entry := relay.Entry{ID: relay.ID{Batch: row.Position, Seq: 1}}
	if m, err := cloudevents.Schedule(row, p.Epoch); err == nil {
		m.Metadata.Set(Header, p.Began.Format(time.RFC3339Nano))
		entry.Message = m
	}
	return entry
}

// pace limits the rate of a replay.
type pace struct {
	rate  int
	began time.Time
}

func newPace(rate int) pace { return pace{rate, time.Now()} }

// pages is how many pages a second a slow replay publishes, so that its events come evenly instead of once a second.
const pages = 10

// of returns how many events the next page has that may have so many.
func (p pace) of(size *cursor.Size) int {
	if p.rate == 0 {
		return size.Rows()
	}
	return min(size.Rows(), max(1, p.rate/pages))
}

// wait waits until the given number of events may have been published.
func (p pace) wait(ctx context.Context, done int64) error {
	if p.rate == 0 {
		return ctx.Err()
	}
	due := p.began.Add(time.Duration(float64(done) / float64(p.rate) * float64(time.Second)))
	return wait.For(ctx, time.Until(due))
}
