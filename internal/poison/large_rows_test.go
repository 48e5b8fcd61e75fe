package poison

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tactus-dev/tactus/domain"
)

// TestLargeRows has somebody who may write the tables by hand write rows that no reader could hold. PostgreSQL refuses
// them by a constraint that says what was wrong, and takes what is as large as tactus itself may write, several times
// over.
func TestLargeRows(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.put(domain.Definition{Name: "large", TaskName: "app.large", CronExpression: "0 0 1 1 *", Queue: queue})
	text := func(bytes int) string { return fmt.Sprintf(`('{"x":"' || repeat('x', %d) || '"}')::json`, bytes) }
	run := `insert into tactus.runs (id, schedule_id, due_at, slot, kind, status, schedule_version, %s)
		values (gen_random_uuid(), '` + s.ID.String() + `', now(), gen_random_uuid(), 'manual', 'failed', 1, %s)`
	for name, c := range map[string]struct{ refused, taken, constraint string }{
		"event": {
			`insert into tactus.outbox (topic, aggregate_id, version, type, data) values ('schedule', gen_random_uuid(), 1, 'x', ` + text(9<<20) + `)`,
			`insert into tactus.outbox (topic, aggregate_id, version, type, data) values ('schedule', gen_random_uuid(), 1, 'x', ` + text(4*domain.MaxPayload) + `)`,
			"outbox_bounded",
		},
		"run's event": {
			`insert into tactus.outbox (topic, aggregate_id, version, type, data) values ('run', gen_random_uuid(), 1, 'x', ` + text(9<<20) + `)`,
			`select`, "outbox_bounded",
		},
		"event's headers": {
			`insert into tactus.outbox (topic, aggregate_id, version, type, data, headers) values ('schedule', gen_random_uuid(), 1, 'x', '{}', ` + text(1<<20) + `)`,
			`select`, "outbox_bounded",
		},
		"event's type": {
			`insert into tactus.outbox (topic, aggregate_id, version, type, data) values ('schedule', gen_random_uuid(), 1, repeat('x', 201), '{}')`,
			`insert into tactus.outbox (topic, aggregate_id, version, type, data) values ('schedule', gen_random_uuid(), 1, repeat('x', 200), '{}')`,
			"outbox_bounded",
		},
		"definition": {
			`update tactus.schedules set definition = ` + text(5<<20), `update tactus.schedules set definition = ` + text(4*domain.MaxPayload),
			"schedules_bounded",
		},
		"task":     {`update tactus.schedules set task = ` + text(5<<20), `update tactus.schedules set task = ` + text(4*domain.MaxPayload), "schedules_bounded"},
		"tags":     {`update tactus.schedules set tags = array[repeat('x', 5000000)]`, `select`, "schedules_bounded"},
		"category": {`update tactus.schedules set category = repeat('x', 5000000)`, `select`, "schedules_bounded"},
		"reason of a pause": {
			`update tactus.schedules set pause_reason = repeat('x', 5000000)`, `select`, "schedules_bounded",
		},
		"policy":     {`update tactus.schedules set policy = repeat(' ', 5000000)`, `select`, "schedules_bounded"},
		"result":     {fmt.Sprintf(run, "result", text(2<<20)), fmt.Sprintf(run, "result", text(64<<10)), "runs_bounded"},
		"run's task": {fmt.Sprintf(run, "task", text(5<<20)), fmt.Sprintf(run, "task", text(4*domain.MaxPayload)), "runs_bounded"},
		"traceback":  {fmt.Sprintf(run, "traceback", "repeat('x', 2000000)"), fmt.Sprintf(run, "traceback", "repeat('x', 64000)"), "runs_bounded"},
		"error":      {fmt.Sprintf(run, "error", "repeat('x', 2000000)"), `select`, "runs_bounded"},
		"reason":     {fmt.Sprintf(run, "reason", "repeat('x', 2000000)"), `select`, "runs_bounded"},
		"worker":     {fmt.Sprintf(run, "worker", "repeat('x', 2000000)"), `select`, "runs_bounded"},
	} {
		_, err := w.pool.Exec(t.Context(), c.refused)
		if e, ok := errors.AsType[*pgconn.PgError](err); !ok || e.Code != "23514" || e.ConstraintName != c.constraint {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := w.pool.Exec(t.Context(), c.taken); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Each column of these tables that can be large is in a constraint.
	rows, err := w.pool.Query(t.Context(), `
		select c.relname || '.' || a.attname from pg_attribute a join pg_class c on c.oid = a.attrelid
		where c.oid in ('tactus.outbox'::regclass, 'tactus.schedules'::regclass, 'tactus.runs'::regclass)
			and a.attnum > 0 and not a.attisdropped and a.attlen = -1
			and not exists (select from pg_constraint o where o.conrelid = c.oid and o.contype = 'c' and a.attnum = any (o.conkey))`)
	if err != nil {
		t.Fatal(err)
	}
	unbounded, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(unbounded)
	// The topic is that of a partition.
	if diff := cmp.Diff([]string{"outbox.topic"}, unbounded); diff != "" {
		t.Errorf("columns that have no bound (-want +got):\n%s", diff)
	}
	if _, err := w.pool.Exec(t.Context(), `update tactus.schedules set deleted_at = now()`); err != nil {
		t.Errorf("a schedule cannot be deleted: %v", err)
	}
}
