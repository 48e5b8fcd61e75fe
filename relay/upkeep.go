package relay

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/tactus-dev/tactus/internal/slowclock"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay/ledger"
)

const upkeepEvery = time.Minute

// upkeep prunes, lists dead letters that are not listed yet, and looks who holds the locks of the bells, once in
// upkeepEvery.
func (r *Relay) upkeep(ctx context.Context) {
	bells := bellWatch{log: r.cfg.Log}
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(upkeepEvery):
		}
		if err := r.Prune(ctx); err != nil && ctx.Err() == nil {
			r.cfg.Log.Warn("prune", "err", err)
		}
		if err := r.listUnlisted(ctx); err != nil && ctx.Err() == nil {
			r.cfg.Log.Warn("upkeep", "err", err)
		}
		if err := r.lookAtBells(ctx, &bells); err != nil && ctx.Err() == nil {
			r.cfg.Log.Warn("upkeep", "err", err)
		}
	}
}

func (r *Relay) lookAtBells(ctx context.Context, bells *bellWatch) error {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Patience)
	defer cancel()
	return bells.look(ctx, r.db)
}

// Prune deletes batches and run events that are older than Config.Keep and that every sink has, and trims streams. It
// deletes no events while a sink does not answer, or has lost something.
func (r *Relay) Prune(ctx context.Context) error {
	all, old := true, time.Time{}
	for _, l := range r.lanes {
		has, before, err := l.prune(ctx, &r.clock, r.cfg.Keep)
		if err != nil {
			return err
		}
		all, old = all && has, before
	}
	if !all {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Patience)
	defer cancel()
	return errors.Join(r.dropRunEvents(ctx, old), r.dropHappenings(ctx, old))
}

func (r *Relay) dropRunEvents(ctx context.Context, old time.Time) error {
	if !slices.ContainsFunc(r.lanes, func(l *lane) bool { return l.Topic == outbox.Runs }) {
		return nil // the relay that serves the sinks of runs knows what they have
	}
	held, err := ledger.HeldSnapshots(ctx, r.db, outbox.Runs, old)
	if err != nil {
		return err
	}
	did, err := outbox.DropRunEvents(ctx, r.db, held...)
	r.tellDropped("run events", did)
	return err
}

// dropHappenings drops happenings that no sink waits for, even if there is no sink for happenings.
func (r *Relay) dropHappenings(ctx context.Context, old time.Time) error {
	held, err := ledger.HeldSnapshots(ctx, r.db, sqlexpr.Happenings, old)
	if err != nil || held == nil {
		return err
	}
	did, err := outbox.DropHappenings(ctx, r.db, old, held...)
	r.tellDropped("happenings", did)
	return err
}

func (r *Relay) tellDropped(what string, did outbox.Upkeep) {
	if len(did.Dropped) > 0 {
		r.cfg.Log.Info(what+" dropped", "partitions", did.Dropped)
	}
	if len(did.Deferred) > 0 {
		r.cfg.Log.Info(what+" cannot be dropped yet: their table is in use", "partitions", did.Deferred)
	}
}

// prune prunes the batches of one sink. It reports whether the sink has everything that it is known to have taken, and
// returns the time before which things are old enough to delete.
func (l *lane) prune(
	ctx context.Context, c *slowclock.Clock, keep time.Duration,
) (has bool, before time.Time, err error) {
	s, v, err := l.look(ctx)
	if err != nil || v.do != resume {
		return false, before, nil // the lane's loop finds out, too
	}
	before = c.Now(s.state.Now, time.Now()).Add(-keep)
	ctx, cancel := context.WithTimeout(ctx, l.patience)
	defer cancel()
	if !l.Tasks {
		if err := ledger.Report(ctx, l.db, l.Name, s.state.Epoch, s.mark.Last); err != nil {
			return false, before, err
		}
	}
	if err := ledger.PruneBatches(ctx, l.db, l.Name, before); err != nil {
		return false, before, err
	}
	return true, before, l.trim(ctx, before)
}

func (l *lane) trim(ctx context.Context, before time.Time) error {
	if l.Trim == nil {
		return nil
	}
	first, err := ledger.FirstSince(ctx, l.db, l.Name, before)
	if err != nil || first == 0 {
		return err
	}
	return l.Trim(ctx, ID{Batch: first, Seq: 0})
}
