// Package wait waits, for as long as the context lasts.
package wait

import (
	"context"
	"time"
)

// For waits for a while, or until ctx ends, whose error it then returns.
func For(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
