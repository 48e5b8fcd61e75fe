package results

import (
	"context"
	"math/bits"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/wait"
)

const (
	pageSize = 200              // the most open runs that are read at a time
	rests    = 7                // the rest after a full page, in multiples of the time that the page took
	young    = time.Minute      // every sweep reads the runs up to this age
	restMost = 30 * time.Second // the longest rest: one page that waited for a lock must not delay the next for long
	ever     = 100 * 365 * 24 * time.Hour

	youngUnheard = 10 * time.Minute // and up to this age while nothing is heard: only sweeps find results then
)

// oldest returns the age up to which sweep n reads open runs. Every sweep reads runs younger than a minute, every
// second sweep those younger than two minutes, every fourth those younger than four, and so on; sweep 0 reads all. The
// time between two readings of a run thus grows with its age, up to a third of it, so a million runs that are never
// answered cost little.
func oldest(n uint64) time.Duration {
	doubled := bits.TrailingZeros64(n)
	if doubled > 30 {
		return ever
	}
	return young << doubled
}

// Sweep reads the keys of all open runs up to an age, and of those that have been silent for too long. It records the
// results that it finds, and its conclusions about the other runs.
func (c *Collector) Sweep(ctx context.Context, age time.Duration) error {
	s := sweep{Collector: c}
	if err := s.look(ctx, 0, young, false); err != nil {
		return err
	}
	s.looked = time.Now()
	if !c.hearing.Load() {
		age = max(age, youngUnheard)
	}
	if age > young {
		if err := s.look(ctx, young, age, true); err != nil || age >= ever {
			return err
		}
	}
	return s.look(ctx, max(c.cfg.Timeout, age), ever, true)
}

// sweep is one pass over the open runs.
type sweep struct {
	*Collector
	looked time.Time // when the young runs had been gone through
}

// look settles the open runs of an age, page by page, and rests between the pages, so that it works at most an eighth
// of the time: at full load there are a million runs a minute, and reading their results must not delay firing and
// handing over. A sweep over many old runs therefore takes long. Young runs, which are likelier to have a result, do
// not wait for its end: they are looked at again in between.
func (s *sweep) look(ctx context.Context, youngest, oldest time.Duration, old bool) error {
	var last openRun
	for {
		began := time.Now()
		runs, err := s.page(ctx, youngest, oldest, last)
		if err != nil {
			return err
		}
		if err := s.settle(ctx, runs); err != nil {
			return err
		}
		if len(runs) < pageSize {
			return nil
		}
		last = runs[len(runs)-1]
		if err := wait.For(ctx, min(rests*time.Since(began), restMost)); err != nil {
			return err
		}
		if old && time.Since(s.looked) >= s.cfg.Every {
			if err := s.look(ctx, 0, young, false); err != nil {
				return err
			}
			s.looked = time.Now()
		}
	}
}

// settle records the results in the keys of runs, or conclusions about runs without a result.
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
	_, err = c.write(ctx, found) // a later sweep finds the locked runs again
	return err
}
