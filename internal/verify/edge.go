package verify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay"
)

// querier is a pool or a transaction.
type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// edge is a place in the log, as a sink counts it: all of the batches before one, and of that one the rows up to a place.
type edge struct {
	previous, snapshot outbox.Snapshot
	place              int64
	counted            int64
}

// nowhere is the edge before everything.
func nowhere() edge { return edge{previous: outbox.Nothing, snapshot: outbox.Nothing} }

// whole is the edge after what is visible in a snapshot.
func whole(s outbox.Snapshot) edge { return edge{previous: s, snapshot: s} }

// covers tells whether a row is on this side of the edge. It is asked once for each row, by position.
func (e *edge) covers(inPrevious, inSnapshot bool) bool {
	if inPrevious || !inSnapshot {
		return inPrevious
	}
	e.counted++
	return e.counted <= e.place
}

// batch is a row of relay_batches.
type batch struct {
	Number             int64
	Previous, Snapshot outbox.Snapshot
	Rows               int64
}

const (
	batchUpTo   = `select number, previous::text, snapshot::text, row_count from tactus.relay_batches where sink = $1 and number <= $2 order by number desc limit 1`
	batchFrom   = `select number, previous::text, snapshot::text, row_count from tactus.relay_batches where sink = $1 and number >= $2 order by number limit 1`
	anyBatch    = `select exists (select from tactus.relay_batches where sink = $1)`
	unpublished = `
select exists (select from tactus.outbox where topic = 'schedule' and pg_visible_in_snapshot(xid, $1::pg_snapshot)
    and (xid >= pg_snapshot_xmax($2::pg_snapshot) or xid = any (array(select pg_snapshot_xip($2::pg_snapshot)))))`
)

func (c *checker) batch(ctx context.Context, q querier, sql string, number int64) (b batch, found bool, err error) {
	err = q.QueryRow(ctx, sql, c.config.Sink, number).Scan(&b.Number, &b.Previous, &b.Snapshot, &b.Rows)
	if errors.Is(err, pgx.ErrNoRows) {
		return b, false, nil
	}
	return b, err == nil, err
}

// publishedUpTo is how far the relay has come, when the last ID of the stream is this. Of a stream whose relay keeps no
// batches, everything that was committed before must be there.
func (c *checker) publishedUpTo(ctx context.Context, q querier, last relay.ID, before outbox.Snapshot) (edge, error) {
	if last == (relay.ID{}) {
		return nowhere(), nil
	}
	b, found, err := c.batch(ctx, q, batchUpTo, last.Batch)
	switch {
	case err != nil:
		return edge{}, err
	case !found || b.Number < last.Batch:
		return whole(before), nil
	case last.Seq >= b.Rows:
		return whole(b.Snapshot), nil
	}
	return edge{previous: b.Previous, snapshot: b.Snapshot, place: last.Seq}, nil
}

// trimmedUpTo is what need not be in the stream any more. Of one that nothing was trimmed from, only what the relay could
// not have published again after it was lost.
func (c *checker) trimmedUpTo(ctx context.Context, q querier) (edge, error) {
	from := relay.ID{}
	if !c.ends.whole {
		from = c.ends.oldest
	}
	b, found, err := c.batch(ctx, q, batchFrom, from.Batch)
	switch {
	case err != nil || !found:
		return nowhere(), err
	case b.Number > from.Batch || from.Seq <= 1:
		return whole(b.Previous), nil
	}
	return edge{previous: b.Previous, snapshot: b.Snapshot, place: from.Seq - 1}, nil
}

func (c *checker) readEdges(ctx context.Context, q querier, before outbox.Snapshot) (err error) {
	if c.published, err = c.publishedUpTo(ctx, q, c.ends.last, before); err != nil {
		return fmt.Errorf("read batches: %w", err)
	}
	if c.trimmed, err = c.trimmedUpTo(ctx, q); err != nil {
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

func (c *checker) behind(ctx context.Context, before outbox.Snapshot) (behind bool, err error) {
	last, _, err := streamInfo(ctx, c.redis, c.config.Stream)
	if err != nil {
		return false, err
	}
	published, err := c.publishedUpTo(ctx, c.pool, last, before)
	if err != nil {
		return false, err
	}
	err = c.pool.QueryRow(ctx, unpublished, before, published.previous).Scan(&behind)
	return behind, err
}
