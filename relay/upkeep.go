package relay

import (
	"context"
	"time"

	"github.com/tactus-dev/tactus/outbox"
)

const upkeepEvery = time.Minute

// upkeep forgets now and then what is older than it is kept.
func (r *Relay) upkeep(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(upkeepEvery):
		}
		if err := r.Prune(ctx); err != nil && ctx.Err() == nil {
			r.cfg.Log.Warn("prune", "err", err)
		}
	}
}

// Prune forgets batches and run events that every sink has, and trims streams, once they are older than Config.Keep.
// Nothing is forgotten while a sink does not say what it has, or has lost something.
func (r *Relay) Prune(ctx context.Context) error {
	all := true
	for _, l := range r.lanes {
		has, err := l.prune(ctx, r.cfg.Keep)
		if err != nil {
			return err
		}
		all = all && has
	}
	if !all {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Patience)
	defer cancel()
	had, err := outbox.Had(ctx, r.db, outbox.Runs, r.cfg.Keep)
	if err != nil {
		return err
	}
	did, err := outbox.DropRunEvents(ctx, r.db, had...)
	if len(did.Dropped) > 0 {
		r.cfg.Log.Info("run events dropped", "partitions", did.Dropped)
	}
	return err
}

// prune tells whether the sink has all that it is known to have taken.
func (l *lane) prune(ctx context.Context, keep time.Duration) (bool, error) {
	s, v, err := l.look(ctx)
	if err != nil || v.do != resume {
		return false, nil // which the loop finds out too
	}
	ctx, cancel := context.WithTimeout(ctx, l.patience)
	defer cancel()
	if !l.Tasks {
		if err := outbox.Report(ctx, l.db, l.Name, s.life.Epoch, outbox.Place(s.mark.Last)); err != nil {
			return false, err
		}
	}
	if err := outbox.PruneBatches(ctx, l.db, l.Name, keep); err != nil {
		return false, err
	}
	return true, l.trim(ctx, keep)
}

func (l *lane) trim(ctx context.Context, keep time.Duration) error {
	if l.Trim == nil {
		return nil
	}
	first, err := outbox.FirstSince(ctx, l.db, l.Name, keep)
	if err != nil || first == 0 {
		return err
	}
	return l.Trim(ctx, ID{first, 0})
}
