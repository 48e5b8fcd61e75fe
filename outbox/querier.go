package outbox

import "github.com/tactus-dev/tactus/internal/postgres"

// Querier runs one statement: a pool, a connection or a transaction of pgx. In a transaction, what is read and written
// is part of it.
type Querier = postgres.Querier
