package bench

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tactus-dev/tactus/internal/wait"
)

// writers is how many changes may be in progress at once.
const writers = 16

// paced does n things at a rate per second, and returns when each was done: for a change, when its commit had returned.
func paced(ctx context.Context, n, perSecond int, do func(ctx context.Context, i int) error) ([]time.Time, error) {
	done := make([]time.Time, n)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(writers)
	start := time.Now()
	for i := range n {
		at := start.Add(time.Duration(i) * time.Second / time.Duration(perSecond))
		if err := wait.For(ctx, time.Until(at)); err != nil {
			break
		}
		group.Go(func() error {
			err := do(ctx, i)
			done[i] = time.Now()
			return err
		})
	}
	return done, group.Wait()
}

// latencies returns the differences between the instants of two lists, place by place, in milliseconds.
func latencies(from, to []time.Time) []float64 {
	all := make([]float64, len(from))
	for i := range from {
		all[i] = max(0, float64(to[i].Sub(from[i]))/float64(time.Millisecond))
	}
	return all
}
