package ledger

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tactus-dev/tactus/outbox"
)

// Owner is who fills a sink: an installation, and where its database is: the server, its timeline, and the database
// there. A copy of the database, restored or promoted, is the same installation elsewhere.
type Owner struct {
	Installation, Server string
	// Refused has the places at which relays of this database were refused a sink, and whose each was.
	Refused map[string]string `db:"-"`
}

const ownerSQL = `
with ` + serverSQL + `
select i.id::text, case when server.standby then ''
    else server.system_identifier || '/' || server.timeline || '/' || d.oid::text end
from server, tactus.installation i, pg_catalog.pg_database d where d.datname = current_database()`

const undefinedTable = "42P01"

// ReadOwner returns the owner that sinks of this database have; the zero Owner on a schema that has no installations
// yet.
func ReadOwner(ctx context.Context, q outbox.Querier) (Owner, error) {
	rows, err := q.Query(ctx, ownerSQL, pgx.QueryExecModeExec)
	if err != nil {
		return Owner{}, fmt.Errorf("read the installation: %w", err)
	}
	o, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Owner])
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code == undefinedTable {
		return Owner{}, nil
	}
	if err != nil {
		return Owner{}, fmt.Errorf("read the installation: %w", err)
	}
	o.Refused, err = refusals(ctx, q)
	return o, err
}
