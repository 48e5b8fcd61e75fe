package testenv

import (
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// slowSnapshots has a statement that compares rows with a snapshot sleep for five milliseconds in a thousand rows.
const slowSnapshots = `
create schema if not exists slow;
create or replace function slow.pg_snapshot_xmin(s pg_snapshot) returns xid8 language plpgsql volatile as $$
begin
    if random() < 0.001 then
        perform pg_sleep(0.005);
    end if;
    return pg_catalog.pg_snapshot_xmin(s);
end $$`

// Hasty returns a pool on the database of another, with a statement_timeout within which its statements cannot look at
// so many rows of the log, however fast the machine is: half of the time for which they would have to sleep.
func Hasty(t testing.TB, pool *pgxpool.Pool, rows int) *pgxpool.Pool {
	t.Helper()
	if _, err := pool.Exec(t.Context(), slowSnapshots); err != nil {
		t.Fatal(err)
	}
	timeout := time.Duration(rows) * 5 * time.Millisecond / 1000 / 2
	cfg := pool.Config().Copy()
	cfg.ConnConfig.RuntimeParams["statement_timeout"] = fmt.Sprint(timeout.Milliseconds())
	cfg.ConnConfig.RuntimeParams["search_path"] = "slow, pg_catalog"
	cfg.ConnConfig.RuntimeParams["jit"] = "off"
	hasty, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hasty.Close)
	return hasty
}
