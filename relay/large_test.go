package relay_test

import (
	"fmt"
	"testing"

	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// maxMemory is what a relay may take, however many events wait.
const maxMemory = 100 << 10 // KiB

// TestLargeTransaction has a relay process carry 100,000 events of one transaction, which are one batch.
func TestLargeTransaction(t *testing.T) {
	t.Parallel()
	const events = 100_000
	direct, url := testenv.DirectURL(t), testenv.RedisURL(t)
	w := at(t, testenv.Connect(t, direct), testenv.Client(t, url))
	relay := testenv.Program{Env: []string{"DATABASE_URL=" + direct, "REDIS_URL=" + url, "TACTUS_HTTP_ADDR=127.0.0.1:0"}}.Start(t, "relay")
	relay.AwaitReady()
	w.sql(t, `
insert into tactus.outbox (topic, aggregate_id, version, type, data)
select 'schedule', gen_random_uuid(), 1, 'schedule.created', json_build_object('description', repeat('x', 500)) from generate_series(1, $1::int)`, events)
	testenv.Eventually(t, "all of them", func() error {
		if n := w.redis.XLen(t.Context(), redis.EventStream).Val(); n != events {
			return fmt.Errorf("%d entries", n)
		}
		return nil
	})
	if n := w.number(t, `select max(row_count) from tactus.relay_batches`); n != events {
		t.Errorf("the largest batch has %d rows", n)
	}
	if peak := relay.Peak(); peak > maxMemory {
		t.Errorf("it took %d KiB", peak)
	} else {
		t.Logf("it took %d KiB", peak)
	}
}
