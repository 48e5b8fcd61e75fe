package relay_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

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

// TestBrokenQueueKeepsNoOtherWaiting has thousands of runs for a queue that takes none, among those for a sound one,
// and thousands that cannot be encoded. The work is that of a few appends, not of one for each: else the others would
// wait.
func TestBrokenQueueKeepsNoOtherWaiting(t *testing.T) {
	t.Parallel()
	for what, refuse := range map[string]func(w *world, route *relay.Route){
		"refused": func(w *world, _ *relay.Route) {
			if err := w.redis.Set(t.Context(), "bad", "not a list", 0).Err(); err != nil {
				t.Fatal(err)
			}
		},
		"not encoded": func(_ *world, route *relay.Route) {
			encode := route.Encode
			route.Encode = func(row outbox.Row, epoch string) (*message.Message, error) {
				m, err := encode(row, epoch)
				if err == nil && m != nil && m.Metadata.Get("tactus-key") == "bad" {
					return nil, fmt.Errorf("unfit")
				}
				return m, err
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			const bad, good = 2500, 5
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
			route := w.tasks(t)
			sink := &counting{Sink: route.Sink}
			route.Sink = sink
			refuse(w, &route)
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
			if n := r.Stats()[0].SetAside; n != bad+1 {
				t.Errorf("%d are counted", n)
			}
		})
	}
}
