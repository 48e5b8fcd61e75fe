package outbox

import "context"

type rehearsalKey struct{}

// Rehearsal has writes of a store do all that they would do, and roll it back: whatever refuses a write refuses it
// there as well. What SQL wrote is judged all the same, as it is within seconds anyway.
func (*Store) Rehearsal(ctx context.Context) context.Context {
	return context.WithValue(ctx, rehearsalKey{}, true)
}

func rehearsed(ctx context.Context) bool { return ctx.Value(rehearsalKey{}) != nil }
