package poison

import (
	"errors"
	"fmt"
	"testing"

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
		"definition": {
			`update tactus.schedules set definition = ` + text(5<<20), `update tactus.schedules set definition = ` + text(4*domain.MaxPayload),
			"schedules_bounded",
		},
		"task":      {`update tactus.schedules set task = ` + text(5<<20), `update tactus.schedules set task = ` + text(4*domain.MaxPayload), "schedules_bounded"},
		"policy":    {`update tactus.schedules set policy = repeat(' ', 5000000)`, `select`, "schedules_bounded"},
		"result":    {fmt.Sprintf(run, "result", text(2<<20)), fmt.Sprintf(run, "result", text(64<<10)), "runs_bounded"},
		"traceback": {fmt.Sprintf(run, "traceback", "repeat('x', 2000000)"), fmt.Sprintf(run, "traceback", "repeat('x', 64000)"), "runs_bounded"},
		"error":     {fmt.Sprintf(run, "error", "repeat('x', 2000000)"), `select`, "runs_bounded"},
		"reason":    {fmt.Sprintf(run, "reason", "repeat('x', 2000000)"), `select`, "runs_bounded"},
		"worker":    {fmt.Sprintf(run, "worker", "repeat('x', 2000000)"), `select`, "runs_bounded"},
	} {
		_, err := w.pool.Exec(t.Context(), c.refused)
		if e, ok := errors.AsType[*pgconn.PgError](err); !ok || e.Code != "23514" || e.ConstraintName != c.constraint {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := w.pool.Exec(t.Context(), c.taken); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := w.pool.Exec(t.Context(), `update tactus.schedules set deleted_at = now()`); err != nil {
		t.Errorf("a schedule cannot be deleted: %v", err)
	}
}
