package outbox

import (
	"context"

	"github.com/tactus-dev/tactus/domain"
)

type permitKey struct{}

// WithPermit returns a context whose writes ask permit about each schedule that they change, as it was and as it is to
// be. What it refuses as it was is not found.
func WithPermit(ctx context.Context, permit func(name string, tags []string) error) context.Context {
	return context.WithValue(ctx, permitKey{}, permit)
}

// permitted returns why a definition may not be written, or nil.
func permitted(ctx context.Context, d domain.Definition) error {
	if permit, ok := ctx.Value(permitKey{}).(func(string, []string) error); ok {
		return permit(d.Name, d.Tags)
	}
	return nil
}

// mayRun returns domain.ErrNotFound for a schedule that may not be run.
func (s *Store) mayRun(ctx context.Context, id domain.ID) error {
	if ctx.Value(permitKey{}) == nil {
		return nil
	}
	_, err := s.Get(ctx, id)
	return err
}
