package main

import (
	"testing"
	"time"

	"github.com/tactus-dev/tactus/internal/slowclock"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestClockFarAheadDropsNothing sets PostgreSQL's clock ten years ahead, as a faulty clock may be for a minute. Nothing
// is dropped, although by this clock it is old.
func TestClockFarAheadDropsNothing(t *testing.T) {
	t.Parallel()
	direct := testenv.DirectURL(t)
	pool := testenv.Connect(t, direct)
	for _, sql := range []string{
		`create schema own`,
		`create function own.clock_timestamp() returns timestamptz language sql as
			'select pg_catalog.clock_timestamp() + interval ''10 years'''`,
		`create function own.now() returns timestamptz language sql as 'select own.clock_timestamp()'`,
		`do $$ begin execute format('alter database %I set search_path = own, pg_catalog', current_database()); end $$`,
		`insert into tactus.runs (id, schedule_id, due_at, slot, kind, status, schedule_version)
			select gen_random_uuid(), gen_random_uuid(), pg_catalog.now(), gen_random_uuid(), 'manual', 'succeeded', 1`,
		`insert into tactus.idempotency (key, request_hash, made) values ('k', '', gen_random_uuid())`,
		`insert into tactus.shadow_sent (task_id, task_name, args, kwargs, sender, heard_at) values ('x', '', '', '', '', pg_catalog.now())`,
	} {
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	ahead := testenv.Connect(t, direct)
	const day = 24 * time.Hour
	var clock slowclock.Clock
	if _, err := (retentionFlags{RunRetention: 90 * day, KeyRetention: day, ShadowRetention: day}).maintain(t.Context(), ahead, &clock); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"runs", "idempotency", "shadow_sent"} {
		var n int
		if err := pool.QueryRow(t.Context(), `select count(*) from tactus.`+table).Scan(&n); err != nil || n != 1 {
			t.Errorf("%d rows of %s are left, %v", n, table, err)
		}
	}
}
