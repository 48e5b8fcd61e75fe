package postgres

import (
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
)

// Ringing runs a transaction that rings the bell, and once more without the bell if PostgreSQL can take no more
// notifications. A listener anywhere in the cluster that does not read fills their queue, and then every commit of a
// transaction that notifies fails. That is a commit, not the call of pg_notify, so no SQL function could catch it. Who
// would have heard the bell finds by polling what was written.
func Ringing(run func(ring bool) error) error {
	err := run(true)
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code == "54000" {
		return run(false)
	}
	return err
}
