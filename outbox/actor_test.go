package outbox_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/internal/traceparent"
	"github.com/tactus-dev/tactus/outbox"
)

// TestEventsSayTheirTrace writes within a trace, in Go and in SQL, and outside of any.
func TestEventsSayTheirTrace(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	store := outbox.NewStore(pool, "UTC", handover.Limits{}.Check)
	const first, second = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-00"
	traced := traceparent.With(t.Context(), first, nil)
	definition := domain.Definition{Name: "n", CronExpression: "0 0 1 1 *", TaskName: "app.t"}
	made, err := store.Create(traced, definition, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.TriggerOnce(traced, made.ID, outbox.Manual{TraceParent: second}); err != nil {
		t.Fatal(err)
	}
	if err := store.PutRoute(traced, domain.Route{Pattern: "app.*", Queue: "q"}, nil); err != nil {
		t.Fatal(err)
	}
	if err := store.PutRoute(t.Context(), domain.Route{Pattern: "app.*", Queue: "r"}, nil); err != nil {
		t.Fatal(err)
	}
	const bySQL = `select tactus.put_schedule('{"name":"sql","task_name":"a","cron_expression":"0 0 1 1 *"}'::jsonb)`
	for _, setting := range []string{second, second + "-", "why"} {
		if err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(t.Context(), `select set_config('tactus.traceparent', $1, true)`, setting); err != nil {
				return err
			}
			if _, err := tx.Exec(t.Context(), bySQL); err != nil {
				return err
			}
			if _, err := tx.Exec(t.Context(), `select tactus.delete_schedule('sql')`); err != nil {
				return err
			}
			_, err := outbox.Put(t.Context(), tx, domain.Definition{Name: "n", CronExpression: "0 0 1 1 *", TaskName: setting})
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := pool.Query(t.Context(), `select coalesce(headers->>'traceparent', '') from tactus.outbox order by position`)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{first, first, first, "", second, second, second, "", "", "", "", "", ""}, got); diff != "" {
		t.Error(diff)
	}
}

// TestEventsSayWhoAndWhy writes in each of the ways, and compares the headers of the events.
func TestEventsSayWhoAndWhy(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	var role string
	if err := pool.QueryRow(t.Context(), `select 'role:' || session_user`).Scan(&role); err != nil {
		t.Fatal(err)
	}
	store := outbox.NewStore(pool, "UTC", handover.Limits{}.Check)
	definition := domain.Definition{Name: "n", CronExpression: "0 0 1 1 *", TaskName: "app.t"}
	alice := outbox.WithActor(t.Context(), "key:alice", "a \"quoted\"\x00\nreason 理由")

	made, err := store.Create(alice, definition, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Merge(outbox.WithActor(t.Context(), "", "why"), made.ID, 0, []byte(`{"description":"x"}`)); err != nil {
		t.Fatal(err)
	}
	if _, err := store.TriggerOnce(alice, made.ID, outbox.Manual{TraceParent: "trace"}); err != nil {
		t.Fatal(err)
	}
	if err := store.PutRoute(outbox.WithActor(t.Context(), strings.Repeat("é", 300), ""), domain.Route{Pattern: "app.*", Queue: "q"}, nil); err != nil {
		t.Fatal(err)
	}
	if err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), `select set_config('tactus.actor', 'bob', true), set_config('tactus.reason', 'by SQL', true)`); err != nil {
			return err
		}
		if _, err := outbox.Disable(t.Context(), tx, made.ID); err != nil {
			return err
		}
		if _, err := outbox.Enable(alice, tx, made.ID); err != nil {
			return err
		}
		_, err := tx.Exec(t.Context(), `select tactus.put_schedule('{"name":"sql","task_name":"a","cron_expression":"0 0 1 1 *"}'::jsonb)`)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec(t.Context(), `select tactus.delete_schedule('sql')`); err != nil {
		t.Fatal(err)
	}
	by := map[string]string{"actor": "key:alice", "reason": `a "quoted"reason 理由`}
	want := []map[string]string{
		by,
		{"actor": role, "reason": "why"},
		{"actor": "key:alice", "reason": `a "quoted"reason 理由`, "traceparent": "trace"},
		{"actor": strings.Repeat("é", 200)},
		{"actor": role, "onbehalfof": "bob", "reason": "by SQL"},
		by,
		{"actor": role, "onbehalfof": "bob", "reason": "by SQL"},
		{"actor": role},
	}
	rows, err := pool.Query(t.Context(), `select headers::text from tactus.outbox order by position`)
	if err != nil {
		t.Fatal(err)
	}
	texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	got := make([]map[string]string, len(texts))
	for i, text := range texts {
		if err := json.Unmarshal([]byte(text), &got[i]); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
