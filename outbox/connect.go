package outbox

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/internal/postgres"
)

// Connect opens a pool of connections, as pgxpool.New does, that also works through a pooler such as PgBouncer in
// transaction mode. Such a pooler gives each transaction another server session, in which the statements that pgx
// prepared and remembers are not there, so behind a pooler none are prepared. A default_query_exec_mode in the URL
// decides otherwise. The pool opens its connections when they are needed.
func Connect(ctx context.Context, url string) (*pgxpool.Pool, error) {
	return postgres.OpenPlain(ctx, url)
}
