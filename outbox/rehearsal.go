package outbox

import "context"

type rehearsalKey struct{}

// Rehearsal returns a context in which writes of a store are rolled back after they have done everything else, so that
// whatever would refuse a write refuses its rehearsal, too. Schedules that SQL wrote are judged all the same, as they
// would be within seconds anyway.
func (*Store) Rehearsal(ctx context.Context) context.Context {
	return context.WithValue(ctx, rehearsalKey{}, true)
}

func rehearsed(ctx context.Context) bool { return ctx.Value(rehearsalKey{}) != nil }
