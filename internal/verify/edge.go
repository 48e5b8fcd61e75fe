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

// edge is a place of a sink, expressed as a set of rows of the log: the rows that the sink had been given when it was
// at that place.
//
// A place is a batch number and a row in the batch. A batch holds the rows that are visible in its snapshot and not in
// the previous batch's, in the order of their positions. So the rows up to the place are
//
//	rows visible in previous                       all of them
//	rows visible in snapshot, not in previous      the first `place` of them, by position
//	other rows                                     none
//
//	            previous           snapshot
//	  batches ... 6 |      7           |
//	  rows    xxxxx | xxxx|oooooo      | oooo      x covered by the edge 7-4, o not
//
// covers counts the middle rows as it is asked for them, so it must be asked for every row once, in the order of
// positions.
//
// Rows from before the sink's epoch are different. Their transaction numbers may come from another server, where they
// had another meaning, so no snapshot of ours can tell them apart. Either all of them are covered (old), or those below
// a position (oldBelow): the opening batch of the epoch published only some of them again.
type edge struct {
	previous, snapshot outbox.Snapshot // the bounds of the batch
	place              int64           // how many rows of the batch are covered
	counted            int64           // how many rows of the batch covers has been asked for
	old                bool            // whether rows from before the epoch are covered
	oldBelow           int64           // old rows below this position are covered even if old is false
}

// side says where a row is by the snapshots of an edge.
type side struct {
	Position               int64
	Old                    bool // written before the epoch
	InPrevious, InSnapshot bool
}

// nowhere returns the edge that covers no row.
func nowhere() edge { return edge{previous: outbox.Nothing, snapshot: outbox.Nothing} }

// whole returns the edge that covers all rows visible in a snapshot.
func whole(s outbox.Snapshot) edge { return edge{previous: s, snapshot: s, old: true} }

// upTo returns the edge at a row of a batch. The batch may be a part; the rows before the part are covered too.
func (c *checker) upTo(ctx context.Context, q querier, b ledger.Batch, place int64) (edge, error) {
	if place >= b.Rows && !b.More {
		return whole(b.Snapshot), nil
	}
	before, err := ledger.RowsBefore(ctx, q, c.config.Sink, b)
	return edge{previous: b.Previous, snapshot: b.Snapshot, place: before + min(place, b.Rows), old: true}, err
}

// covers reports whether the edge covers a row. It must be asked once for each row, in the order of positions.
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

// publishedUpTo returns the edge up to which events must be in the stream, from the last ID of the stream. For a stream
// whose relay keeps no batches, every event that was committed in the snapshot before must be there.
func (c *checker) publishedUpTo(
	ctx context.Context, q querier, life ledger.State, last relay.ID, before outbox.Snapshot,
) (edge, error) {
	if last == (relay.ID{}) || last.Batch < life.Opened {
		return nowhere(), nil
	}
	b, found, err := ledger.BatchUpTo(ctx, q, c.config.Sink, last.Batch)
	switch {
	case err != nil:
		return edge{}, err
	case found && b.Number < last.Batch && life.Registered: // the log was restored to an earlier state
		return c.upTo(ctx, q, b, b.Rows)
	case !found || b.Number < last.Batch:
		return whole(before), nil
	case opens(life, b) && (last.Seq < b.Rows || b.More):
		return nowhere(), nil // the relay is still writing the opening of the epoch
	}
	return c.upTo(ctx, q, b, last.Seq)
}

// opens reports whether a batch is the opening of the epoch, or a part of the opening.
func opens(life ledger.State, b ledger.Batch) bool {
	return b.Number == life.Opened || b.PartOf > 0 && b.PartOf == life.Opened
}

// trimmedUpTo returns the edge up to which events may be missing from the stream. If nothing was ever trimmed, this
// covers only events that the relay could not publish again after the stream was lost.
func (c *checker) trimmedUpTo(ctx context.Context, q querier, life ledger.State) (edge, error) {
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

// trimmedBefore returns that edge for a stream that reaches back to the beginning of its epoch or farther. Of the older
// events, all may have been trimmed; if nothing was trimmed, those below the opening's first position are missing.
func (c *checker) trimmedBefore(ctx context.Context, q querier, life ledger.State) (edge, error) {
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
	if c.life, err = ledger.ReadState(ctx, q, c.config.Sink); err != nil {
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

// awaitRelay waits until the relay has published the events that are committed now, at most for config.Wait, and
// returns the snapshot of those events.
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

// unpublished asks whether a row that was committed in a snapshot is not covered by an edge. It ignores the edge's last
// batch, so it may be wrong about the rows at the end of that batch.
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
	life, err := ledger.ReadState(ctx, c.pool, c.config.Sink)
	if err != nil {
		return false, err
	}
	published, err := c.publishedUpTo(ctx, c.pool, life, last, before)
	if err != nil {
		return false, err
	}
	err = c.pool.QueryRow(ctx, unpublished, life.Floor, life.Late, published.old, before, published.previous,
		life.Seen).Scan(&behind)
	return behind, err
}
