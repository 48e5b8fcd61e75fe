package relay_test

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/outbox"
)

func TestEventsReachTheStream(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(t, "before", 3)
	w.carry(t, w.events())
	w.put(t, "after", 3)
	if report := w.awaitEvents(t); report.StreamEntries != 6 {
		t.Errorf("%+v", report)
	}
}

// TestTwoRelays runs two relays on the same events, while writers commit late.
func TestTwoRelays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.carry(t, w.events())
	w.carry(t, w.events())
	var writers sync.WaitGroup
	for n := range 4 {
		writers.Go(func() {
			for range 20 {
				err := outbox.InTx(t.Context(), w.pool, func(tx pgx.Tx) error {
					d := domain.Definition{Name: string(rune('a' + n)), CronExpression: "* * * * *", TaskName: "app.task", Description: time.Now().String()}
					if _, err := outbox.Put(t.Context(), tx, d); err != nil {
						return err
					}
					_, err := tx.Exec(t.Context(), `select pg_sleep(random() / 100)`)
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	if report := w.awaitEvents(t); report.StreamEntries != 80 {
		t.Errorf("%+v", report)
	}
}

// TestRewind empties the stream: its entries come back, with the same IDs and the same content.
func TestRewind(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.carry(t, w.events())
	for range 5 {
		w.put(t, "a", 2)
		w.awaitEvents(t)
	}
	before, err := w.redis.XRange(t.Context(), redis.EventStream, "-", "+").Result()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.redis.FlushDB(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	w.awaitEvents(t)
	after, err := w.redis.XRange(t.Context(), redis.EventStream, "-", "+").Result()
	if err != nil {
		t.Fatal(err)
	}
	if len(before) != 10 || !slices.EqualFunc(before, after, sameEntry) {
		t.Errorf("before\n%v\nafter\n%v", before, after)
	}
}

// TestEpochs changes the identity of the server: the stream gets an announcement, and all events of the last hour
// again.
func TestEpochs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := w.carry(t, w.events())
	w.put(t, "a", 3)
	w.awaitEvents(t)
	for _, change := range []string{
		`update tactus.relay_sinks set timeline = 'another'`,
		`update tactus.relay_sinks set system_identifier = 'another'`,
		`update tactus.relay_batches set snapshot = '9000000:9000000:' where number = (select max(number) from tactus.relay_batches)`,
	} {
		stop()
		epochs, entries := w.number(t, `select count(distinct epoch) from tactus.relay_batches`), len(w.ids(t))
		w.sql(t, change)
		stop = w.carry(t, w.events())
		w.put(t, "a", 1)
		w.awaitEvents(t)
		if n := w.number(t, `select count(distinct epoch) from tactus.relay_batches`); n != epochs+1 {
			t.Errorf("%s: %d epochs after %d", change, n, epochs)
		}
		all, err := w.redis.XRange(t.Context(), redis.EventStream, "-", "+").Result()
		if err != nil {
			t.Fatal(err)
		}
		if first, _ := all[entries].Values["payload"].(string); !strings.Contains(first, `"log.epoch_started"`) || !strings.HasSuffix(all[entries].ID, "-0") {
			t.Errorf("%s: it began with %s %s", change, all[entries].ID, first)
		}
		if events := w.number(t, `select count(*) from tactus.outbox`); int64(len(all)-entries) != 1+events {
			t.Errorf("%s: %d entries more, of %d events", change, len(all)-entries, events)
		}
	}
}
