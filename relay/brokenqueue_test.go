package relay_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay"
)

// counting counts the calls of Append.
type counting struct {
	relay.Sink
	appends atomic.Int64
}

func (c *counting) Append(ctx context.Context, at relay.Mark, entries []relay.Entry) (relay.Mark, error) {
	c.appends.Add(1)
	return c.Sink.Append(ctx, at, entries)
}

// setsAside counts the statements that set rows aside.
type setsAside struct{ n atomic.Int64 }

func (s *setsAside) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	if strings.Contains(q.SQL, "insert into tactus.deadletters") {
		s.n.Add(1)
	}
	return ctx
}

func (*setsAside) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// traced returns a world like w, with a tracer on its pool.
func traced(t *testing.T, w *world, tracer pgx.QueryTracer) *world {
	t.Helper()
	cfg := w.pool.Config()
	cfg.ConnConfig.Tracer = tracer
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return at(t, pool, w.redis)
}

type encoder = func(row outbox.Row, epoch string) (*message.Message, error)

// breaking makes an encoder address each bad run to an address of its own.
func breaking(encode encoder, address func(m *message.Message, n int64) (*message.Message, error)) encoder {
	var n atomic.Int64
	return func(row outbox.Row, epoch string) (*message.Message, error) {
		m, err := encode(row, epoch)
		if err == nil && m != nil && m.Metadata.Get("tactus-key") == "bad" {
			return address(m, n.Add(1))
		}
		return m, err
	}
}

// TestBrokenQueueKeepsNoOtherWaiting has, among the runs for a sound queue, thousands for a queue that takes none,
// thousands that cannot be encoded, and thousands that each have a key or an exchange of their own that takes none.
// They take only a few appends and statements. One for each would delay the others.
func TestBrokenQueueKeepsNoOtherWaiting(t *testing.T) {
	t.Parallel()
	through := func(x func(n int64) celery.Exchange) func(*message.Message, int64) (*message.Message, error) {
		return func(m *message.Message, n int64) (*message.Message, error) {
			to := x(n)
			to.Separator, to.Tag = "\x06\x16", "\x00"
			m.Payload = []byte(`{"exchange":"","routing_key":"\x00","delivery_tag":"\x00"}`)
			return redis.ToExchange(m, to)
		}
	}
	const bad, good = 2500, 5
	for what, c := range map[string]struct {
		spoil   func(t *testing.T, w *world)
		address func(m *message.Message, n int64) (*message.Message, error)
	}{
		"one list": {func(t *testing.T, w *world) {
			if err := w.redis.Set(t.Context(), "bad", "not a list", 0).Err(); err != nil {
				t.Fatal(err)
			}
		}, func(m *message.Message, _ int64) (*message.Message, error) { return m, nil }},
		"not encoded": {nil, func(*message.Message, int64) (*message.Message, error) { return nil, fmt.Errorf("unfit") }},
		"lists and streams of their own": {func(t *testing.T, w *world) {
			pipe := w.redis.Pipeline()
			for n := range bad + 2 {
				pipe.Set(t.Context(), fmt.Sprintf("bad %d", n), "neither list nor stream", 0)
			}
			if _, err := pipe.Exec(t.Context()); err != nil {
				t.Fatal(err)
			}
		}, func(m *message.Message, n int64) (*message.Message, error) {
			if key := fmt.Sprintf("bad %d", n); n%2 == 0 {
				return redis.ToStream(m, key), nil
			} else {
				return redis.ToList(m, key), nil
			}
		}},
		"lists that are denied": {nil, func(m *message.Message, n int64) (*message.Message, error) {
			return redis.ToList(m, fmt.Sprintf("others' %d", n)), nil
		}},
		"our own keys": {nil, func(m *message.Message, n int64) (*message.Message, error) {
			return redis.ToList(m, fmt.Sprintf("tactus:%d", n)), nil
		}},
		"one exchange": {nil, through(func(n int64) celery.Exchange {
			return celery.Exchange{
				Name: "x", RoutingKey: fmt.Sprint(n), Bindings: "_kombu.binding.x", Channel: fmt.Sprintf("/0.x/%d", n),
			}
		})},
		"exchanges of their own": {nil, through(func(n int64) celery.Exchange {
			return celery.Exchange{
				Name: fmt.Sprint(n), RoutingKey: "k", Bindings: fmt.Sprintf("_kombu.binding.%d", n),
				Channel: fmt.Sprintf("/0.%d", n),
			}
		})},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.fire(t, "bad", 1)
			for range good {
				w.fire(t, "q", 1)
				w.sql(t, `with run as (
					insert into tactus.runs (id, schedule_id, due_at, slot, kind, status, schedule_version)
					select i.id, s.id, clock_timestamp(), i.id, 'manual', 'due', 1
					from tactus.schedules s, generate_series(1, $1::int) n, lateral (select gen_random_uuid() as id where n > 0) i
					where s.name = 'bad' returning id, schedule_id, due_at
				) insert into tactus.outbox (topic, aggregate_id, version, type, data)
				select 'run', run.id, 1, 'run.due', tactus.run_due(s.id, s.name, s.task, run.id, run.due_at, 'manual')
				from run join tactus.schedules s on s.id = run.schedule_id`, bad/good)
			}
			if c.spoil != nil {
				c.spoil(t, w)
			}
			var statements setsAside
			w = traced(t, w, &statements)
			reader := *w
			if what == "lists that are denied" {
				reader.redis = limited(t, w.redis)
			}
			route := reader.tasks(t)
			sink := &counting{Sink: route.Sink}
			route.Sink, route.Encode = sink, breaking(route.Encode, c.address)
			r, _ := w.relay(t, relay.Config{}, route)
			testenv.Eventually(t, "all set aside", func() error {
				if n := w.number(t, `select count(*) from tactus.deadletters`); n != bad+1 {
					return fmt.Errorf("%d are set aside", n)
				}
				if n := len(w.handed(t, "q")); n != good {
					return fmt.Errorf("%d are handed over", n)
				}
				return nil
			})
			if n := w.number(t, `select count(*) from tactus.runs where status = 'failed' and error like 'it could not be handed over: %'`); n != bad+1 {
				t.Errorf("%d runs have failed", n)
			}
			if n := sink.appends.Load(); n > 50 {
				t.Errorf("%d appends", n)
			}
			if n := statements.n.Load(); n > 50 {
				t.Errorf("%d statements set rows aside", n)
			}
			if n := r.Stats()[0].SetAside; n != bad+1 {
				t.Errorf("%d are counted", n)
			}
		})
	}
}

// limited returns a client that may only write to the keys of tactus and to the queue q.
func limited(t *testing.T, admin *goredis.Client) *goredis.Client {
	t.Helper()
	if err := admin.Do(t.Context(), "acl", "setuser", "limited", "on", ">secret", "~tactus:*", "~q", "+@all").Err(); err != nil {
		t.Fatal(err)
	}
	opt := *admin.Options()
	opt.Username, opt.Password = "limited", "secret"
	client := goredis.NewClient(&opt)
	t.Cleanup(func() { client.Close() })
	return client
}
