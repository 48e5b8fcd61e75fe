package shadow_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/shadow"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// publish publishes events as Celery does.
func publish(t *testing.T, client *redis.Client, channel, body string) {
	t.Helper()
	message := fmt.Sprintf(`{"body": %q, "content-encoding": "utf-8", "content-type": "application/json", "properties": {"body_encoding": "base64"}}`,
		base64.StdEncoding.EncodeToString([]byte(body)))
	if err := client.Publish(t.Context(), channel, message).Err(); err != nil {
		t.Fatal(err)
	}
}

func event(kind, id, more string, at int) string {
	return fmt.Sprintf(`{"type": "task-%s", "uuid": %q, "hostname": "gen1@host", "pid": 1, "clock": 1, "timestamp": 1795425000.%d, "name": "app.task", "args": "()", "kwargs": "{}", "retries": 0%s}`, kind, id, at, more)
}

// texts are the answers of a query of one column.
func texts(t *testing.T, pool *pgxpool.Pool, sql string) (all []string) {
	t.Helper()
	rows, err := pool.Query(t.Context(), sql)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var one string
		if err := rows.Scan(&one); err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// eventually waits until a query answers what is wanted.
func eventually(t *testing.T, pool *pgxpool.Pool, sql string, want ...string) {
	t.Helper()
	testenv.Eventually(t, sql, func() error {
		if diff := cmp.Diff(want, texts(t, pool, sql)); diff != "" {
			return fmt.Errorf("(-want +got):\n%s", diff)
		}
		return nil
	})
}

// TestWatch hears of tasks from those who send and from those who receive them, in any order, through a restart of the
// broker.
func TestWatch(t *testing.T) {
	t.Parallel()
	pool, broker := testenv.Database(t), testenv.RedisServer(t, nil)
	client := testenv.Client(t, broker.URL(0))
	var active atomic.Bool
	active.Store(true)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		shadow.NewWatcher(pool, client, "/0.", active.Load, slog.New(slog.NewTextHandler(t.Output(), nil))).Run(ctx)
	}()
	const watches, tasks = `select count(*)::text from tactus.shadow_watches`,
		`select task_id || ' ' || sender || ' ' || (sent_at is not null) || ' ' || (received_at is not null)
			from tactus.shadow_sent order by 1`
	eventually(t, pool, watches, "1")
	publish(t, client, "/0.celeryev/task.sent", event("sent", "a", "", 1))
	publish(t, client, "/0.celeryev/task.multi", "["+event("received", "a", "", 2)+","+event("received", "b", "",
		2)+","+event("started", "c", "", 2)+","+event("received", "d", `, "parent_id": "x"`, 2)+"]")
	publish(t, client, "/1.celeryev/task.sent", event("sent", "e", "", 1))
	publish(t, client, "/0.celeryev/task.sent", "broken")
	eventually(t, pool, tasks, "a gen1@host true true", "b  false true")
	publish(t, client, "/0.celeryev/task.sent", event("sent", "b", "", 1))
	eventually(t, pool, tasks, "a gen1@host true true", "b gen1@host true true")
	long := strings.Repeat("x", 2048)
	publish(t, client, "/0.celeryev/task.multi", "["+event("sent", long+"1", "", 1)+","+event("sent", long+"2", "",
		1)+"]")
	// what is kept of both is the same
	eventually(t, pool, `select length(task_id)::text from tactus.shadow_sent where length(task_id) > 1`, "2048")
	if _, err := pool.Exec(t.Context(), `delete from tactus.shadow_sent where length(task_id) > 1`); err != nil {
		t.Fatal(err)
	}
	eventually(t, pool, watches, "1")

	if err := broker.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := broker.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, pool, watches, "2")
	publish(t, client, "/0.celeryev/task.sent", event("sent", "f", "", 1))
	eventually(t, pool, tasks, "a gen1@host true true", "b gen1@host true true", "f gen1@host true false")
	eventually(t, pool, `select count(*)::text from tactus.shadow_watches a
		join tactus.shadow_watches b on a.since < b.since and a.until <= b.since`, "1")

	active.Store(false)
	testenv.Eventually(t, "the watch ends", func() error {
		if n, err := client.PubSubNumPat(t.Context()).Result(); err != nil || n > 0 {
			return fmt.Errorf("%d subscriptions, %w", n, err)
		}
		return nil
	})
	stop()
	<-ended
}

// TestPrune forgets what is old, and nothing else.
func TestPrune(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	for _, age := range []string{"8 days", "6 days"} {
		_, err := pool.Exec(t.Context(), fmt.Sprintf(`
insert into tactus.shadow_runs (schedule_id, due_at, fires_at, fate, schedule_version, schedule_name, task_name, decided_at)
    select gen_random_uuid(), now(), now(), 'fire', 1, '', '', now() - interval '%[1]s';
insert into tactus.shadow_sent (task_id, task_name, args, kwargs, sender, heard_at) values ('%[1]s', '', '', '', '', now() - interval '%[1]s');
insert into tactus.shadow_watches (id, since, until) values (gen_random_uuid(), '-infinity', now() - interval '%[1]s')`, age))
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := shadow.Prune(t.Context(), pool, time.Now().Add(-7*24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"runs", "sent", "watches"} {
		if got := texts(t, pool, `select count(*)::text from tactus.shadow_`+table); got[0] != "1" {
			t.Errorf("%s of %s are left", got[0], table)
		}
	}
	if _, err := pool.Exec(t.Context(), `drop table tactus.shadow_runs`); err != nil {
		t.Fatal(err)
	}
	if err := shadow.Prune(t.Context(), pool, time.Now().Add(-time.Hour)); err != nil {
		t.Errorf("on the schema before: %v", err)
	}
}

// TestReadWhatSomebodyWroteByHand has rows with times that Go does not have, and a definition that is none, among
// others.
func TestReadWhatSomebodyWroteByHand(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	store := outbox.NewStore(pool, "UTC", handover.Limits{}.Check)
	ids := map[string]domain.ID{}
	for _, name := range []string{"good", "infinite", "deleted", "spoiled"} {
		s, _, err := store.Put(t.Context(), domain.Definition{
			Name: name, TaskName: "app." + name,
			CronExpression: "0 9 * * *",
		})
		if err != nil {
			t.Fatal(err)
		}
		ids[name] = s.ID
		if _, err := pool.Exec(t.Context(),
			`insert into tactus.shadow_runs (schedule_id, due_at, fires_at, fate, schedule_version, schedule_name,
				task_name)
			values ($1, now(), now(), 'fire', 1, $2, 'app.' || $2)`, s.ID, name); err != nil {
			t.Fatal(err)
		}
	}
	for _, sql := range []string{
		`update tactus.schedules set effective_from = 'infinity' where name = 'infinite'`,
		`update tactus.shadow_runs set until = 'infinity', fires_at = 'infinity' where schedule_name = 'infinite'`,
		`update tactus.schedules set deleted_at = '20000-01-01', effective_from = '-infinity' where name = 'deleted'`,
		`update tactus.schedules set definition = '{"name":7,"kwargs":[]}' where name = 'spoiled'`,
		`insert into tactus.shadow_sent (task_id, task_name, args, kwargs, sender, sent_at)
			values ('1', 'app.infinite', '', '', 'x', 'infinity'), ('2', 'app.good', '', '', 'x', now())`,
		`insert into tactus.shadow_watches values (gen_random_uuid(), '-infinity', 'infinity')`,
	} {
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	since := time.Now().Add(-time.Hour)
	record, err := shadow.Read(t.Context(), pool, since)
	if err != nil || len(record.Decisions) != 4 || len(record.Sent) != 2 || len(record.Schedules) != 4 {
		t.Fatalf("%+v, %v", record, err)
	}
	for _, row := range shadow.Compare(record, shadow.Tolerance{Late: time.Minute}, since, time.Now()).Schedules {
		if row.ID != nil && *row.ID == ids["good"] && (row.Matched != 1 || row.WouldFire != 1) {
			t.Errorf("the good one: %+v", row)
		}
	}
}
