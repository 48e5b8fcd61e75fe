// Package migrations holds the Postgres schema of tactus and brings a database up to it.
//
// The migrations are embedded and applied by goose under a lock that is a table row with a lease, so that several
// processes may start at once and it all works behind PgBouncer in transaction mode. Program version N runs on the
// schemas N-1, N and N+1: a migration only adds, and what it makes useless is dropped by a later one. There is no way
// down: a schema that holds events is never dropped by a tool.
package migrations
