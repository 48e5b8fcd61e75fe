package outbox_test

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// TestNeighboursKeepTheirNames has schedules go to streams and queues that others have, by every way of writing one.
func TestNeighboursKeepTheirNames(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	store := outbox.NewStore(pool, "", handover.Limits{}.Check)
	to := func(name, queue, stream string) domain.Definition {
		d := definition(name)
		d.Queue, d.Stream = queue, stream
		return d
	}
	for _, d := range []domain.Definition{to("queue", `q "é"`, ""), to("stream", "", "s"), to("both ways", "r", "")} {
		if _, err := store.Create(t.Context(), d, "", nil); err != nil {
			t.Fatal(err)
		}
	}
	putRoutes(t, pool, domain.Route{Pattern: "a.*", Queue: "routed"})
	ambiguous := &domain.Error{Code: "target_ambiguous"}
	writes := map[string]func(domain.Definition) error{
		"store": func(d domain.Definition) error { _, _, err := store.Put(t.Context(), d); return err },
		"transaction": func(d domain.Definition) error {
			return pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error { _, err := outbox.Put(t.Context(), tx, d); return err })
		},
	}
	for way, write := range writes {
		for _, c := range []struct {
			d       domain.Definition
			refused bool
		}{
			{to("n", "", `q "é"`), true},
			{to("n", "", "routed"), true},
			{to("n", "s", ""), true},
			{to("n", "", "q"), false},
			{to("queue", `q "é"`, ""), false},
			{to("stream", "", "s"), false},
			{to("both ways", "", "r"), false},
			{to("both ways", "r", ""), false},
		} {
			if err := write(c.d); errors.Is(err, ambiguous) != c.refused || err != nil && !c.refused {
				t.Errorf("%s, %q to queue %q, stream %q: %v", way, c.d.Name, c.d.Queue, c.d.Stream, err)
			}
		}
	}
	if _, err := outbox.PutRoute(t.Context(), pool, domain.Route{Pattern: "b", Queue: "s"}, "", nil); !errors.Is(err, ambiguous) {
		t.Errorf("a route: %v", err)
	}
	if _, err := pool.Exec(t.Context(), `select tactus.put_schedule('{"name":"by SQL","cron_expression":"* * * * *","task_name":"t","stream":"routed"}')`); err != nil {
		t.Fatal(err)
	}
	if n, err := store.Judge(t.Context()); err != nil || n != 1 {
		t.Errorf("%d are invalid, %v", n, err)
	}
}
