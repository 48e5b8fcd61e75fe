package ledger

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tactus-dev/tactus/outbox"
)

// Owner identifies whose relays fill a sink: an installation, and where its database is (Server: the server, its
// timeline, and the database on it). A copy of the database, restored or promoted, is the same installation on another
// Server.
type Owner struct {
	Installation, Server string
	// Refused has the addresses at which relays of this database were refused a sink, each with the sink's owner.
	Refused map[string]string `db:"-"`
	// Unknown is the reason why Refused is not known; nil if it is known.
	Unknown error `db:"-"`
}

// placeSQL yields Owner.Server as a text, which is empty on a standby. It names no table of tactus, so no lock on one
// delays it.
const placeSQL = `place as materialized (
    select case when server.standby then ''
        else server.system_identifier || '/' || server.timeline || '/' || d.oid::text end as text
    from server, pg_catalog.pg_database d where d.datname = current_database()
)`

const (
	placeOfDatabaseSQL = `
with ` + serverSQL + `, ` + placeSQL + `
select place.text from place`
	installationSQL = `
with ` + serverSQL + `, ` + placeSQL + `
select i.id::text, place.text from place, tactus.installation i`
)

const undefinedTable = "42P01"

// ReadOwner returns the owner of this database's sinks, including Refused.
func ReadOwner(ctx context.Context, q outbox.Querier) (Owner, error) {
	o, err := ReadInstallation(ctx, q)
	if err == nil && o.Installation != "" {
		o.Refused, err = ReadRefusals(ctx, q)
	}
	return o, err
}

// ReadServer returns Owner.Server. It reads no table of tactus, so no lock on one delays it.
func ReadServer(ctx context.Context, q outbox.Querier) (string, error) {
	rows, err := q.Query(ctx, placeOfDatabaseSQL, pgx.QueryExecModeExec)
	if err != nil {
		return "", fmt.Errorf("read where the database is: %w", err)
	}
	server, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[string])
	if err != nil {
		return "", fmt.Errorf("read where the database is: %w", err)
	}
	return server, nil
}

// ReadInstallation returns the owner of this database's sinks, without Refused. On a schema from before installations
// it returns the zero Owner.
func ReadInstallation(ctx context.Context, q outbox.Querier) (Owner, error) {
	rows, err := q.Query(ctx, installationSQL, pgx.QueryExecModeExec)
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
	return o, nil
}
