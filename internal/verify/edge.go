package verify

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/internal/sqlexpr"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay"
	"github.com/tactus-dev/tactus/relay/ledger"
)

// querier is a pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// edge is a place in the log, as a sink counts it: all of the batches before one, and of that one the rows up to a place.
// Rows that are older than the sink's epoch are not told apart by snapshots, which may be another server's: all of them are
// on this side, or those below a position.
type edge struct {
	previous, snapshot outbox.Snapshot
	place              int64
	counted            int64
	old                bool
	oldBelow           int64
}

// side is what the database says of a row and an edge.
type side struct {
	Position               int64
	Old                    bool // than the epoch
	InPrevious, InSnapshot bool
}

// nowhere is the edge before everything.
func nowhere() edge { return edge{previous: outbox.Nothing, snapshot: outbox.Nothing} }

// whole is the edge after what is visible in a snapshot.
func whole(s outbox.Snapshot) edge { return edge{previous: s, snapshot: s, old: true} }

// upTo is the edge after a place in a batch, which may be a part.
func (c *checker) upTo(ctx context.Context, q querier, b ledger.Batch, place int64) (edge, error) {
	if place >= b.Rows && !b.More {
		return whole(b.Snapshot), nil
	}
	before, err := ledger.RowsBefore(ctx, q, c.config.Sink, b)
	return edge{previous: b.Previous, snapshot: b.Snapshot, place: before + min(place, b.Rows), old: true}, err
}

// covers tells whether a row is on this side of the edge. It is asked once for each row, by position.
func (e *edge) covers(s side) bool {
	switch {
	case s.Old:
		return e.old || s.Position < e.oldBelow
	case s.InPrevious || !s.InSnapshot:
		return s.InPrevious
	}
	e.counted++
	return e.counted <= e.place
}

// publishedUpTo is how far the relay has come, when the last ID of the stream is this. Of a stream whose relay keeps no
// batches, everything that was committed before must be there.
func (c *checker) publishedUpTo(ctx context.Context, q querier, life ledger.Life, last relay.ID, before outbox.Snapshot) (edge, error) {
	if last == (relay.ID{}) || last.Batch < life.Opened {
		return nowhere(), nil
	}
	b, found, err := ledger.BatchUpTo(ctx, q, c.config.Sink, last.Batch)
	switch {
	case err != nil:
		return edge{}, err
	case found && b.Number < last.Batch && life.Registered: // the log went back
		return c.upTo(ctx, q, b, b.Rows)
	case !found || b.Number < last.Batch:
		return whole(before), nil
	case opens(life, b) && (last.Seq < b.Rows || b.More):
		return nowhere(), nil // the epoch is being opened
	}
	return c.upTo(ctx, q, b, last.Seq)
}

// opens reports whether a batch is what the epoch began with, or a part of that.
func opens(life ledger.Life, b ledger.Batch) bool {
	return b.Number == life.Opened || b.PartOf > 0 && b.PartOf == life.Opened
}

// trimmedUpTo is what need not be in the stream any more. Of one that nothing was trimmed from, only what the relay could
// not have published again after it was lost.
func (c *checker) trimmedUpTo(ctx context.Context, q querier, life ledger.Life) (edge, error) {
	from := relay.ID{}
	if !c.ends.whole {
		from = c.ends.oldest
	}
	b, found, err := ledger.BatchFrom(ctx, q, c.config.Sink, from.Batch)
	switch {
	case err != nil || !found:
		return nowhere(), err
	case life.Registered && (b.Number <= life.Opened || opens(life, b)):
		return c.trimmedBefore(ctx, q, life)
	case b.Number > from.Batch:
		return c.upTo(ctx, q, b, 0)
	}
	return c.upTo(ctx, q, b, max(0, from.Seq-1))
}

// trimmedBefore is for a stream that reaches back to where its epoch began, or farther: of what is older, all may have been
// trimmed, or what the epoch did not begin with.
func (c *checker) trimmedBefore(ctx context.Context, q querier, life ledger.Life) (edge, error) {
	e := nowhere()
	if e.old = !c.ends.whole; e.old {
		return e, nil
	}
	opening, found, err := ledger.BatchUpTo(ctx, q, c.config.Sink, life.Opened)
	if found && opening.From != nil {
		e.oldBelow = *opening.From
	}
	return e, err
}

func (c *checker) readEdges(ctx context.Context, q querier, before outbox.Snapshot) (err error) {
	if c.life, err = ledger.ReadLife(ctx, q, c.config.Sink); err != nil {
		return err
	}
	c.noticeAhead()
	if c.published, err = c.publishedUpTo(ctx, q, c.life, c.ends.last, before); err != nil {
		return fmt.Errorf("read batches: %w", err)
	}
	if c.trimmed, err = c.trimmedUpTo(ctx, q, c.life); err != nil {
		return fmt.Errorf("read batches: %w", err)
	}
	return nil
}

const waitPoll = 50 * time.Millisecond

// awaitRelay gives the relay time to publish what is committed now, and tells what that is.
func (c *checker) awaitRelay(ctx context.Context) (before outbox.Snapshot, err error) {
	if before, err = outbox.Current(ctx, c.pool); err != nil {
		return "", err
	}
	for deadline := time.Now().Add(c.config.Wait); time.Now().Before(deadline); {
		behind, err := c.behind(ctx, before)
		if err != nil || !behind {
			return before, err
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(waitPoll):
		}
	}
	return before, nil
}

// unpublished looks for a row that was committed before and is beyond an edge, but for the last rows of a batch.
var unpublished = `
select exists (select from tactus.outbox where topic = 'schedule' and ` + sqlexpr.BeforeOpening("$1", "$2::pg_snapshot", "$6::text::int8range[]") + ` and not $3)
    or exists (select from tactus.outbox where topic = 'schedule' and pg_visible_in_snapshot(xid, $4::pg_snapshot)
        and ` + sqlexpr.NotSeen("$5::pg_snapshot") + `
        and ` + sqlexpr.AfterOpening("$1", "$2::pg_snapshot", "$6::text::int8range[]") + `)`

func (c *checker) behind(ctx context.Context, before outbox.Snapshot) (behind bool, err error) {
	last, _, err := streamInfo(ctx, c.redis, c.config.Stream)
	if err != nil {
		return false, err
	}
	life, err := ledger.ReadLife(ctx, c.pool, c.config.Sink)
	if err != nil {
		return false, err
	}
	published, err := c.publishedUpTo(ctx, c.pool, life, last, before)
	if err != nil {
		return false, err
	}
	err = c.pool.QueryRow(ctx, unpublished, life.Floor, life.Late, published.old, before, published.previous, life.Seen).Scan(&behind)
	return behind, err
}
