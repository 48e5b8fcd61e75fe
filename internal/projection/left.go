package projection

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// claim makes known for as long as a transaction lasts that the table beside has somebody. A rebuild that is killed loses its
// transaction, and with it the claim.
func (b *beside) claim(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock(hashtextextended($1, 0))`, pgx.QueryExecModeExec, b.name); err != nil {
		return fmt.Errorf("claim the table beside: %w", err)
	}
	return nil
}

// dropLeft removes the tables beside that nobody claims: their rebuilds were killed. A table is made only when it is claimed.
const dropLeft = `
do $$
declare
    name text;
begin
    for name in select tablename from pg_tables where schemaname = 'tactus' and tablename ~ '^schedules_rebuilt_[0-9a-f]{32}$' loop
        if pg_try_advisory_xact_lock(hashtextextended(name, 0)) then
            execute format('drop table if exists tactus.%I', name);
        end if;
    end loop;
end
$$`

func clearLeft(ctx context.Context, pool *pgxpool.Pool) error {
	if _, err := pool.Exec(ctx, dropLeft); err != nil {
		return fmt.Errorf("remove what killed rebuilds have left: %w", err)
	}
	return nil
}

const dropTimeout = 10 * time.Second

// drop removes the table, also when the rebuild was interrupted.
func (b *beside) drop(ctx context.Context) {
	if !b.made {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropTimeout)
	defer cancel()
	_, _ = b.pool.Exec(ctx, `drop table if exists tactus.`+b.name) // else the next rebuild removes it
}
