package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/internal/shares"
)

// turns has requests take their callers' turns for as long as they hold connections. A pool serves who waits for a
// connection in the order in which they came, whoever they are: a caller's requests must not stand there all at once.
// The tracer is the only hook of a pool before it looks for a connection.
type turns struct{}

type leaveKey struct{}

// TraceAcquireStart waits for the turn. If the context ends meanwhile, the pool finds that out itself.
func (turns) TraceAcquireStart(ctx context.Context, _ *pgxpool.Pool, _ pgxpool.TraceAcquireStartData) context.Context {
	if leave, err := shares.Enter(ctx); err == nil && leave != nil {
		return context.WithValue(ctx, leaveKey{}, leave)
	}
	return ctx
}

// leaves is where a connection has how its request's turn ends.
const leaves = "tactus leaves"

func (turns) TraceAcquireEnd(ctx context.Context, _ *pgxpool.Pool, data pgxpool.TraceAcquireEndData) {
	leave, ok := ctx.Value(leaveKey{}).(func())
	switch {
	case !ok:
	case data.Err != nil:
		leave()
	default:
		data.Conn.PgConn().CustomData()[leaves] = leave
	}
}

func (turns) TraceRelease(_ *pgxpool.Pool, data pgxpool.TraceReleaseData) {
	held := data.Conn.PgConn().CustomData()
	if leave, ok := held[leaves].(func()); ok {
		delete(held, leaves)
		leave()
	}
}

func (turns) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

func (turns) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
