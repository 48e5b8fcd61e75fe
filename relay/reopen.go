package relay

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/internal/tablelocks"
	"github.com/tactus-dev/tactus/relay/ledger"
)

// Reopen begins a new epoch of an event sink, in which every row from a position on is published again, and deletes
// dead letters of the sink, in one transaction. In the new epoch, the events that had been set aside are published in
// their order among the others. Reopen publishes nothing itself: a relay finds the new epoch, as it finds one that
// another relay has begun.
func Reopen(ctx context.Context, db *pgxpool.Pool, route Route, from int64, letters []int64) error {
	if err := route.check(); err != nil {
		return err
	}
	if route.Tasks {
		return fmt.Errorf("reopen %s: tasks are never published again", route.Name)
	}
	log := slog.New(slog.DiscardHandler)
	l := &lane{Route: route, db: db, log: log, patience: defaultPatience, beside: tablelocks.NewBeside(db, log)}
	if err := l.claim(ctx); err != nil {
		return fmt.Errorf("reopen %s: %w", route.Name, err)
	}
	for deadline := time.Now().Add(reopenPatience); time.Now().Before(deadline); {
		made, err := l.reopen(ctx, from, letters)
		if made || err != nil && !overtaken(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(mathrand.N(firstPause)):
		}
	}
	return fmt.Errorf("reopen %s: %w", route.Name, errNoAgreement)
}

// reopenPatience is long because a busy relay keeps cutting batches with the very number that the new epoch was to
// have. The pauses between attempts are random, so that they do not fall into step with the batches.
const reopenPatience = 30 * time.Second

func (l *lane) reopen(ctx context.Context, from int64, letters []int64) (bool, error) {
	s, v, err := l.look(ctx)
	if err != nil {
		return false, fmt.Errorf("reopen %s: %w", l.Name, err)
	}
	if v.do != resume && v.do != moveSink {
		return false, fmt.Errorf("reopen %s: %w (%s)", l.Name, errNotServed, v.why)
	}
	whole := ctx
	ctx, cancel := context.WithTimeout(ctx, l.patience)
	defer cancel()
	place := s.mark.Last
	batch, err := l.batchOf(ctx, place)
	if err != nil {
		return false, err
	}
	owed, err := l.owed(ctx, s)
	if err != nil {
		return false, err
	}
	if owed > 0 {
		from = min(from, owed)
	}
	return ledger.Open(whole, l.db, ledger.Opening{
		Sink: l.Name, Topic: l.Topic, Was: s.state.Epoch, Epoch: rand.Text()[:10], Kind: ledger.EpochBatch,
		Number: max(s.state.Newest.Number, s.mark.Last.Batch) + 1, After: place, Previous: batch.After(place), From: from, Letters: letters,
		Patience: l.patience, Reason: "what was set aside is published again",
	})
}

// owed returns the position from which on the current epoch was to publish older rows again, if it has not yet
// published them all; otherwise 0. An epoch that follows has to publish them instead.
func (l *lane) owed(ctx context.Context, s agreement) (int64, error) {
	b, found, err := ledger.BatchUpTo(ctx, l.db, l.Name, s.state.Opened)
	if err != nil || !found || b.Number != s.state.Opened || b.From == nil {
		return 0, err
	}
	last := b
	if b.More && s.mark.Last.Batch > b.Number {
		if last, _, err = ledger.BatchUpTo(ctx, l.db, l.Name, s.mark.Last.Batch); err != nil {
			return 0, err
		}
	}
	if (last.Number == b.Number || last.PartOf == b.Number) && (last.More || !last.Has(s.mark.Last)) {
		return *b.From, nil
	}
	return 0, nil
}

// errNotServed means that a relay has to reconcile the sink with the ledger first.
var errNotServed = errors.New("the sink and the log do not agree; let a relay run, then try again")
