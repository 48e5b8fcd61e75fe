package relay_test

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay"
)

// TestOpensInPartsAndGoesOn registers a sink on a log whose rows take longer to count than statement_timeout. The relay
// opens the epoch in parts, and every row is in the sink, once and in order, and so are later rows. One row in a
// hundred yields an entry.
func TestOpensInPartsAndGoesOn(t *testing.T) {
	t.Parallel()
	pool := testenv.Connect(t, testenv.DirectURL(t)) // whose statement_timeout a pooler would not pass on
	w := at(t, pool, testenv.Redis(t))
	w.sql(t, `
insert into tactus.outbox (topic, aggregate_id, version, type, data)
select 'schedule', md5((n % 100)::text)::uuid, n, 'schedule.updated', '{}' from generate_series(1, 200000) n`)
	w.pool = testenv.Hasty(t, pool, 200_000)
	route := w.events()
	route.Announce = nil
	route.Encode = func(row outbox.Row, _ string) (*message.Message, error) {
		if row.Position%100 != 0 {
			return nil, nil
		}
		return message.NewMessage(strconv.FormatInt(row.Position, 10), []byte(`{}`)), nil
	}
	w.relay(t, relay.Config{}, route)
	inOrder := func() error {
		want, err := pool.Query(t.Context(), `select position from tactus.outbox where topic = 'schedule' and position % 100 = 0
			order by position`)
		if err != nil {
			return err
		}
		defer want.Close()
		entries, err := w.redis.XRange(t.Context(), redis.EventStream, "-", "+").Result()
		if err != nil {
			return err
		}
		n := 0
		for ; want.Next(); n++ {
			var position int64
			if err := want.Scan(&position); err != nil {
				return err
			}
			if n >= len(entries) {
				return fmt.Errorf("%d entries: %w", len(entries), errNotYet)
			}
			if got := entries[n].Values["_watermill_message_uuid"]; got != strconv.FormatInt(position, 10) {
				t.Fatalf("entry %d is of position %v, not %d", n, got, position)
			}
		}
		if n != len(entries) {
			t.Fatalf("%d entries of %d rows", len(entries), n)
		}
		return want.Err()
	}
	testenv.Eventually(t, "all rows in the stream", inOrder)
	if n, err := parts(t, pool); err != nil || n < 2 {
		t.Errorf("opened in %d parts, %v", n, err)
	}
	if _, err := pool.Exec(t.Context(), `
insert into tactus.outbox (topic, aggregate_id, version, type, data)
select 'schedule', md5((n % 100)::text)::uuid, n, 'schedule.updated', '{}' from generate_series(200001, 200500) n`); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "what came behind, too", inOrder)
}

// parts returns in how many parts the opening was cut.
func parts(t *testing.T, pool *pgxpool.Pool) (n int64, err error) {
	err = pool.QueryRow(t.Context(), `
select count(*) from tactus.relay_batches b join tactus.relay_epochs e using (sink) where b.part_of = e.number`).Scan(&n)
	return n, err
}
