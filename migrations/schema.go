package migrations

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// schemaLock is what whoever makes the schema holds. Any role that may connect can hold it as well: PostgreSQL asks
// nobody for a right to an advisory lock.
const schemaLock = sqlexpr.SchemaLock

// createSchema holds a transaction-level lock, because IF NOT EXISTS alone fails when two processes race.
const createSchema = `
select pg_catalog.set_config('lock_timeout', '3s', true);
select pg_catalog.pg_advisory_xact_lock(` + schemaLock + `);
create schema if not exists tactus`

const lockHolder = `
select pg_catalog.format('process %s of role %s, application "%s"', a.pid, a.usename, a.application_name)
from pg_catalog.pg_locks l join pg_catalog.pg_stat_activity a on a.pid = l.pid
where l.locktype = 'advisory' and l.granted and l.objsubid = 1
    and l.database = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())
    and l.classid::bigint = ` + schemaLock + `::bigint >> 32 and l.objid::bigint = ` + schemaLock + `::bigint & 4294967295
limit 1`

// schemaAttempts are how often the lock is asked for, for 3 seconds each.
const schemaAttempts = 20

// makeSchema waits a minute for the lock, and says from the first seconds on who has it.
func makeSchema(ctx context.Context, db *sql.DB, say []func(string)) error {
	for attempt := 1; ; attempt++ {
		_, err := db.ExecContext(ctx, createSchema)
		if !postgres.LockTimedOut(err) {
			return err
		}
		var holder string
		err = db.QueryRowContext(ctx, lockHolder).Scan(&holder)
		if errors.Is(err, sql.ErrNoRows) { // gone meanwhile, or it is the schema itself that is locked
			holder, err = "a process that is not known", nil
		}
		if err != nil {
			return fmt.Errorf("look for who holds the lock: %w", err)
		}
		if attempt == schemaAttempts {
			return fmt.Errorf("the lock for it is held by %s for more than %v: end that process, select pg_terminate_backend(PID)", holder, schemaAttempts*3*time.Second)
		}
		for _, tell := range say {
			if attempt == 1 {
				tell("waiting for the lock on the schema, which is held by " + holder)
			}
		}
	}
}
