package results

import (
	"context"
	"math/bits"
	"time"

	"github.com/tactus-dev/tactus/domain"
)

const (
	pageSize = 200         // open runs that are asked for at a time
	young    = time.Minute // a run that every sweep looks at
	ever     = 100 * 365 * 24 * time.Hour
)

// oldest is how old the runs are that sweep n looks at: every sweep at those younger than a minute, every other at those
// younger than two, every fourth at those younger than four, and the first at all. So a run is asked for again after a
// part of its age, and a million that never answer cost little.
func oldest(n uint64) time.Duration {
	doubled := bits.TrailingZeros64(n)
	if doubled > 30 {
		return ever
	}
	return young << doubled
}

// Sweep asks for the keys of all open runs up to an age, and of those that are silent for too long, and concludes what is
// to be concluded.
func (c *Collector) Sweep(ctx context.Context, age time.Duration) error {
	if err := c.look(ctx, 0, age); err != nil || age >= ever {
		return err
	}
	return c.look(ctx, max(c.cfg.Timeout, age), ever)
}

func (c *Collector) look(ctx context.Context, youngest, oldest time.Duration) error {
	var last openRun
	for {
		runs, err := c.page(ctx, youngest, oldest, last)
		if err != nil {
			return err
		}
		if err := c.settle(ctx, runs); err != nil {
			return err
		}
		if len(runs) < pageSize {
			return nil
		}
		last = runs[len(runs)-1]
	}
}

// settle records what the keys of runs say, or the conclusion about those that say nothing.
func (c *Collector) settle(ctx context.Context, runs []openRun) error {
	var ids []domain.ID
	for _, r := range runs {
		if r.asks() {
			ids = append(ids, r.ID)
		}
	}
	answers, unreadable, err := c.ask(ctx, ids)
	if err != nil {
		return err
	}
	var found []answer
	for _, r := range runs {
		a, ok := answers[r.ID]
		if !ok || !a.final {
			r.unreadable = unreadable[r.ID]
			if conclusion, over := r.conclude(c.cfg.Timeout, c.cfg.Longest); over {
				a, ok = conclusion, true
			}
		}
		if ok {
			found = append(found, a)
		}
	}
	_, err = c.write(ctx, found) // what is locked is found again by a later sweep
	return err
}
