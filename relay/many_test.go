package relay_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/relay"
)

// weighed is a sink that notes the most entries and bytes of one append.
type weighed struct {
	relay.Sink
	mu             sync.Mutex
	entries, bytes int // at most
}

func (w *weighed) Append(ctx context.Context, at relay.Mark, entries []relay.Entry) (relay.Mark, error) {
	bytes := 0
	for _, e := range entries {
		if e.Message != nil {
			bytes += len(e.Message.Payload)
		}
	}
	w.mu.Lock()
	w.entries, w.bytes = max(w.entries, len(entries)), max(w.bytes, bytes)
	w.mu.Unlock()
	return w.Sink.Append(ctx, at, entries)
}

// TestManyChangesOfOneTransaction changes twelve thousand schedules of some kilobytes in one transaction. The events
// are one batch, and are appended in chunks of a bounded number and size.
func TestManyChangesOfOneTransaction(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	route, sink := w.events(), &weighed{}
	sink.Sink, route.Sink = route.Sink, sink
	w.put(t, "a", 1)
	w.carry(t, route)
	w.awaitEvents(t)
	const changes = 12_000
	w.sql(t, `insert into tactus.outbox (topic, aggregate_id, version, type, data, occurred_at)
select topic, gen_random_uuid(), 1, type, (data::jsonb || jsonb_build_object('description', repeat('x', case when n > 9000 then 10000 else 100 end)))::json, now()
from tactus.outbox, generate_series(1, $1::int) n where topic = 'schedule'`, changes)
	testenv.Eventually(t, "all of them in the stream", func() error {
		if n, err := w.redis.XLen(t.Context(), redis.EventStream).Result(); err != nil || n < changes+1 {
			return fmt.Errorf("%d, %w", n, err)
		}
		return nil
	})
	if n := w.number(t, `select max(row_count) from tactus.relay_batches`); n < changes {
		t.Errorf("the largest batch has %d events", n)
	}
	sink.mu.Lock()
	defer sink.mu.Unlock()
	if sink.entries > 1000 || sink.bytes > 6<<20 {
		t.Errorf("it is given %d events and %d bytes at a time", sink.entries, sink.bytes)
	}
}
