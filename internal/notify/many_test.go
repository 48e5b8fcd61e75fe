package notify_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/notify"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay"
)

const manyRules = 1000 // the most that there may be

// makeManyRules makes rules of one definition, for runs that fail and schedules that recover. Each has a host of its
// own.
func makeManyRules(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	r, secret, err := domain.DecodeNotificationRule("r", []byte(
		`{"on":["failed","recovered"],"to":"webhook","url":"http://h.example/","every_minutes":60}`))
	if err == nil {
		_, _, _, err = notify.NewStore(pool).Put(t.Context(), r, secret, 0)
	}
	if err == nil {
		_, err = pool.Exec(t.Context(), `
with made as (
    insert into tactus.notification_rules (id, name, version, enabled, states, definition, created_at, updated_at)
    select gen_random_uuid(), 'r' || n, version, enabled, states, definition, created_at, updated_at
    from tactus.notification_rules, generate_series(2, $1::bigint) n returning id, name
)
insert into tactus.notification_secrets (rule_id, url, key, headers)
select made.id, 'http://' || made.name || '.example/', s.key, s.headers from made, tactus.notification_secrets s`, manyRules)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// failures are entries of runs that failed, each of a schedule of its own.
func failures(t *testing.T, n int, because string) (entries []relay.Entry) {
	t.Helper()
	for i := range n {
		data, err := json.Marshal(map[string]any{
			"run_id": outbox.NewID(), "schedule_id": outbox.NewID(), "schedule_name": fmt.Sprint("s", i), "task_name": "app.t",
			"status": "failed", "error": because,
		})
		if err != nil {
			t.Fatal(err)
		}
		m, err := notify.Encode(outbox.Row{
			Aggregate: outbox.NewID(), Version: 1, Type: "run.failed", Data: data, At: time.Now().Add(time.Hour),
		}, "e")
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, relay.Entry{ID: relay.ID{Batch: 1, Seq: int64(i + 1)}, Message: m})
	}
	return entries
}

// TestManyRulesOfManyHappenings has many failed runs and as many rules as there may be, all of which match them. No
// statement writes a row for each pair of a rule and a happening, or more than some megabytes of documents; and every
// happening is counted, and shown in order.
func TestManyRulesOfManyHappenings(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	makeManyRules(t, pool)
	if _, err := pool.Exec(t.Context(), `
create table public.written (what text, rows bigint, bytes bigint);
create function public.note_failing() returns trigger language plpgsql as $$ begin
    insert into public.written select 'failing', count(*), 0 from new; return null; end $$;
create function public.note_deliveries() returns trigger language plpgsql as $$ begin
    insert into public.written select 'deliveries', count(*), sum(octet_length(array_to_string(documents, ''))) from new;
    return null; end $$;
create trigger t after insert on tactus.notification_failing referencing new table as new for each statement
    execute function public.note_failing();
create trigger t after insert on tactus.notification_deliveries referencing new table as new for each statement
    execute function public.note_deliveries()`); err != nil {
		t.Fatal(err)
	}
	const happenings = 60
	entries := failures(t, happenings, strings.Repeat("no ", 400))
	sink := notify.NewRules(pool, func() {})
	from, end := relay.Mark{}, relay.Mark{Epoch: "e", Last: entries[happenings-1].ID}
	if err := sink.Begin(t.Context(), from, relay.Mark{Epoch: "e"}); err != nil {
		t.Fatal(err)
	}
	if at, err := sink.Append(t.Context(), relay.Mark{Epoch: "e"}, entries); err != nil || at != end {
		t.Fatalf("%+v, %v", at, err)
	}
	if at, err := sink.Mark(t.Context()); err != nil || at != end {
		t.Errorf("the mark is %+v, %v", at, err)
	}
	var rows, bytes, statements int64
	if err := pool.QueryRow(t.Context(), `select max(rows), max(bytes), count(*) from public.written`).Scan(
		&rows, &bytes, &statements); err != nil || rows > 21_000 || bytes > 8<<20 {
		t.Errorf("a statement of %d has written %d rows, one %d bytes; %v", statements, rows, bytes, err)
	}
	var failing, deliveries, counted, wrong int64
	if err := pool.QueryRow(t.Context(), `
select (select count(*) from tactus.notification_failing), count(*), sum(count), count(*) filter (where cardinality(documents) <> 20
    or exists (select from unnest(documents) with ordinality d (document, nth)
        where document::json->>'schedule_name' <> 's' || nth - 1))
from tactus.notification_deliveries`).Scan(&failing, &deliveries, &counted, &wrong); err != nil ||
		failing != happenings || deliveries != manyRules || counted != manyRules*happenings || wrong > 0 {
		t.Errorf("%d failing, %d deliveries of %d, of which %d show something else; %v", failing, deliveries, counted, wrong, err)
	}
}

// TestLookingForManyDeliveries has two due deliveries for each of many rules. Taking some of them reads a few blocks
// for each one taken, however many are under way and whatever statistics the planner has of the tables.
func TestLookingForManyDeliveries(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	makeManyRules(t, pool)
	if _, err := pool.Exec(t.Context(), `
insert into tactus.notification_deliveries (rule_id, kind, gathers, count, documents, due_at, taken_until)
select id, '', false, 1, array['{"x":"' || repeat('x', 300) || '"}'], now(),
    case when n = 1 and right(name, 1) = '7' then now() + interval '1 hour' end
from tactus.notification_rules, generate_series(1, 2) n`); err != nil {
		t.Fatal(err)
	}
	var rules, hosts []string
	if err := pool.QueryRow(t.Context(), `select array_agg(rule_id::text), array_agg(url) from tactus.notification_secrets`).Scan(
		&rules, &hosts); err != nil {
		t.Fatal(err)
	}
	for _, known := range []string{"nothing", "all"} {
		if known == "all" {
			if _, err := pool.Exec(t.Context(), `analyze`); err != nil {
				t.Fatal(err)
			}
		}
		var text string
		if err := pool.QueryRow(t.Context(), `explain (analyze, buffers, format json) `+notify.TakeSQL, pgx.NamedArgs{
			"free": 1, "lease": time.Minute, "of_a_host": 4, "rules": rules, "hosts": hosts,
		}).Scan(&text); err != nil {
			t.Fatal(err)
		}
		var plans []struct {
			Plan struct {
				Hit  int `json:"Shared Hit Blocks"`
				Read int `json:"Shared Read Blocks"`
			}
		}
		if err := json.Unmarshal([]byte(text), &plans); err != nil {
			t.Fatal(err)
		}
		if n := plans[0].Plan.Hit + plans[0].Plan.Read; n == 0 || n > 30_000 {
			t.Errorf("it reads %d blocks while %s is known", n, known)
		}
	}
}

// looks keeps how long each of a courier's looks for deliveries took.
type looks struct {
	mu   sync.Mutex
	took []time.Duration
}

type lookBegan struct{}

func (l *looks) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if data.SQL != notify.TakeSQL {
		return ctx
	}
	return context.WithValue(ctx, lookBegan{}, time.Now())
}

func (l *looks) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryEndData) {
	if began, is := ctx.Value(lookBegan{}).(time.Time); is {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.took = append(l.took, time.Since(began))
	}
}

// TestACourierRests has many deliveries fail at once. Each failure makes the courier look again, but it rests seven
// times as long as it looks.
func TestACourierRests(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	makeManyRules(t, pool)
	if _, err := pool.Exec(t.Context(), `
update tactus.notification_secrets set url = 'http://10.9.8.7:' || 1000 + n || '/' from (
    select rule_id, row_number() over () n from tactus.notification_secrets) r where r.rule_id = notification_secrets.rule_id;
insert into tactus.notification_deliveries (rule_id, kind, count, documents, due_at)
select id, '', 1, array['{}'], now() from tactus.notification_rules`); err != nil {
		t.Fatal(err)
	}
	var l looks
	cfg := pool.Config().Copy()
	cfg.ConnConfig.Tracer = &l
	traced, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(traced.Close)
	courier := notify.NewCourier(traced, notify.NewPublisher(notify.Private{}), slog.New(slog.DiscardHandler),
		prometheus.NewRegistry())
	began := time.Now()
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() { courier.Run(ctx) })
	testenv.Eventually(t, "all are tried", func() error {
		var left int
		err := pool.QueryRow(t.Context(), `select count(*) from tactus.notification_deliveries where attempts = 0`).Scan(&left)
		if err == nil && left > 0 {
			err = fmt.Errorf("%d are left", left)
		}
		return err
	})
	cancel()
	done.Wait()
	elapsed := time.Since(began)
	var looked, rested time.Duration
	for _, took := range l.took[:len(l.took)-1] {
		looked, rested = looked+took, rested+min(7*took, 5*time.Second)
	}
	if len(l.took) < 3 || looked+rested > elapsed {
		t.Errorf("it has looked %d times, for %s in %s", len(l.took), looked, elapsed)
	}
}
