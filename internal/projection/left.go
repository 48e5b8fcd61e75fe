package projection

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// claim locks the name of the second table for the rest of a transaction, which shows other rebuilds that the table is
// in use. A rebuild that is killed loses its transaction, and with it the claim.
func (b *beside) claim(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock(hashtextextended($1, 0))`, pgx.QueryExecModeExec, b.name); err != nil {
		return fmt.Errorf("claim the second table: %w", err)
	}
	return nil
}

// dropLeft drops second tables without a claim: their rebuilds were killed. A table is created only under a claim.
const dropLeft = `
do $$
declare
    name text;
begin
    for name in select tablename from pg_tables where schemaname = 'tactus'
        and tablename ~ '^schedules_rebuilt_[0-9a-f]{32}$' loop
        if pg_try_advisory_xact_lock(hashtextextended(name, 0)) then
            execute format('drop table if exists tactus.%I', name);
        end if;
    end loop;
end
$$`

func clearLeft(ctx context.Context, pool *pgxpool.Pool) error {
	if _, err := pool.Exec(ctx, dropLeft); err != nil {
		return fmt.Errorf("drop the tables of killed rebuilds: %w", err)
	}
	return nil
}

const dropTimeout = 10 * time.Second

// drop drops the second table, also after the rebuild was interrupted.
func (b *beside) drop(ctx context.Context) {
	if !b.made {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropTimeout)
	defer cancel()
	_, _ = b.pool.Exec(ctx, `drop table if exists tactus.`+b.name) // if this fails, the next rebuild drops it
}
