package main

import (
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

func TestRedeliverCommand(t *testing.T) {
	t.Parallel()
	k := keep(t)
	store := outbox.NewStore(k.pool, "", handover.Limits{}.Check)
	s, _, err := store.Put(t.Context(), domain.Definition{Name: "a", CronExpression: "0 0 1 1 *", TaskName: "app.task"})
	if err != nil {
		t.Fatal(err)
	}
	run, err := store.Trigger(t.Context(), s.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.pool.Exec(t.Context(),
		`update tactus.runs set status = 'sent', sent_at = now() - interval '11 min'`); err != nil {
		t.Fatal(err)
	}
	const none = "0 runs were handed over and not heard of; the broker has lost 0 of them\n"
	found := "  queue celery  a\n1 runs were handed over and not heard of; the broker has lost 1 of them\n"
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"--dry-run --older-than 12m", exitOK, none},
		{"--dry-run", exitOK, found},
		{"--dry-run --schedule " + s.ID.String(), exitOK, found},
		{"--dry-run --schedule " + run.String(), exitOK, none},
		{"--schedule a", exitUsage, "not a UUID"},
		{"--older-than 2h", exitUsage, "want the first to be less than the second"},
		{"", exitOK, found + "1 are handed over again by the relay\n"},
		{"", exitOK, none + "0 are handed over again by the relay\n"},
	} {
		got := k.tactus(t, append([]string{"redeliver"}, strings.Fields(c.args)...)...)
		if got.code != c.code || !strings.HasSuffix(got.out, c.want) && !strings.Contains(got.problems, c.want) {
			t.Errorf("%s: %+v", c.args, got)
		}
	}
}

// TestRedeliverPastAQueue has a queue of another type beside one that was purged.
func TestRedeliverPastAQueue(t *testing.T) {
	t.Parallel()
	k := keep(t)
	store := outbox.NewStore(k.pool, "", handover.Limits{}.Check)
	for _, queue := range []string{"bad", "purged"} {
		s, _, err := store.Put(t.Context(), domain.Definition{
			Name: queue, CronExpression: "0 0 1 1 *",
			TaskName: "app.task", Queue: queue,
		})
		if err == nil {
			_, err = store.Trigger(t.Context(), s.ID)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := k.pool.Exec(t.Context(),
		`update tactus.runs set status = 'sent', sent_at = now() - interval '11 min'`); err != nil {
		t.Fatal(err)
	}
	if err := testenv.Client(t, k.redis).Set(t.Context(), "bad", "no list", 0).Err(); err != nil {
		t.Fatal(err)
	}
	got := k.tactus(t, "redeliver")
	if got.code != exitFailure ||
		!strings.HasSuffix(got.out, "the broker has lost 1 of them\n1 are handed over again by the relay\n") ||
		!strings.Contains(got.problems, "queue bad cannot be read, and its 1 runs are left alone: ") {
		t.Errorf("%+v", got)
	}
}
