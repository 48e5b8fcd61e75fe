package bench

import "context"

func relaySection(ctx context.Context, l *Lab) (figures []Figure, err error) {
	return parts(ctx, l, drain, consumption, commitToConsumer, idle)
}
