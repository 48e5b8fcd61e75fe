package verify_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/internal/verify"
	"github.com/tactus-dev/tactus/outbox"
)

// write has writers change schedules in transactions of random length, so that later ones commit before earlier ones.
func (w *world) write(t *testing.T, writers, changes int) {
	t.Helper()
	var group sync.WaitGroup
	for n := range writers {
		group.Go(func() {
			for i := range changes {
				err := pgx.BeginFunc(t.Context(), w.pool, func(tx pgx.Tx) error {
					if _, err := outbox.Put(t.Context(), tx, definition(fmt.Sprint("schedule ", n, i%3), i)); err != nil {
						return err
					}
					_, err := tx.Exec(t.Context(), `select pg_sleep($1)`, rand.Float64()/100)
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
}

// until publishes again and again until all is written, and then once more.
func until(t *testing.T, done <-chan struct{}, publish func(context.Context) error) {
	t.Helper()
	for last := false; ; {
		if err := publish(t.Context()); err != nil {
			t.Error(err)
		}
		if last {
			return
		}
		select {
		case <-done:
			last = true
		case <-time.After(time.Millisecond):
		}
	}
}

const readAfter = `
select position, aggregate_id, version, type, data, headers, occurred_at from tactus.outbox
where topic = 'schedule' and position > $1 order by position limit 100`

// byPosition is the naive relay: it reads rows behind the highest position that it has seen, and so misses rows that
// commit later at a lower one.
type byPosition struct {
	pool  *pgxpool.Pool
	redis *redis.Client
	last  int64
	batch int
	add   func(ctx context.Context, client *redis.Client, batch int, rows []outbox.Row) error
}

func (r *byPosition) publish(ctx context.Context) error {
	rows, err := r.pool.Query(ctx, readAfter, r.last)
	if err != nil {
		return err
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[outbox.Row])
	if err != nil || len(all) == 0 {
		return err
	}
	r.batch++
	r.last = all[len(all)-1].Position
	return r.add(ctx, r.redis, r.batch, all)
}

func oneByOne(ctx context.Context, client *redis.Client, batch int, rows []outbox.Row) error {
	for i, row := range rows {
		if err := add(ctx, client, fmt.Sprintf("%d-%d", batch, i+1), row, "first"); err != nil {
			return err
		}
	}
	return nil
}

// pipelined appends a batch by one pipeline of plain XADDs, and repeats the whole batch after the connection was lost,
// whatever the server has kept of it.
func pipelined(ctx context.Context, client *redis.Client, _ int, rows []outbox.Row) error {
	for {
		pipe := client.Pipeline()
		for _, row := range rows {
			if err := add(ctx, pipe, "*", row, "first"); err != nil {
				return err
			}
		}
		_, err := pipe.Exec(ctx)
		if err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// TestReadingByPositionLosesEvents runs two relays beside the same writers: one reads by position, one by snapshot.
func TestReadingByPositionLosesEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	straw := &world{w.pool, testenv.Redis(t), w.store, ""}
	relay := &byPosition{pool: w.pool, redis: straw.redis, add: oneByOne}
	done := make(chan struct{})
	var relays sync.WaitGroup
	relays.Go(func() { until(t, done, relay.publish) })
	relays.Go(func() { until(t, done, func(ctx context.Context) error { return publish(ctx, w) }) })
	w.write(t, 8, 30)
	close(done)
	relays.Wait()
	if report := w.check(t, verify.Config{Wait: time.Second}); report.Found != 0 || report.Events != 240 || report.StreamEntries != 240 {
		t.Errorf("the relay that reads by snapshot: %+v", report)
	}
	report, err := verify.Run(t.Context(), w.pool, straw.redis, verify.Config{Stream: stream, Sink: "strawman"})
	if err != nil {
		t.Fatal(err)
	}
	losesOnly(t, report, 240)
}

// TestTrustingAPipelineLosesEvents restarts a Redis that keeps nothing, while a relay pipelines plain XADDs.
func TestTrustingAPipelineLosesEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	server := testenv.RedisServer(t, nil)
	w.redis = testenv.Client(t, server.URL(0))
	relay := &byPosition{pool: w.pool, redis: w.redis, add: pipelined}
	for restart := range 2 {
		w.write(t, 1, 60) // one writer: nothing commits late
		if err := relay.publish(t.Context()); err != nil {
			t.Fatal(err)
		}
		if restart == 0 {
			if err := server.Kill(); err != nil {
				t.Fatal(err)
			}
			if err := server.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := relay.publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	losesOnly(t, w.check(t, verify.Config{}), 120)
}

// losesOnly checks that exactly the events that the stream lacks are reported as missing, and that nothing else is
// reported.
func losesOnly(t *testing.T, r *verify.Report, events int64) {
	t.Helper()
	kinds := []string{}
	for _, p := range r.Problems {
		kinds = append(kinds, p.Kind)
	}
	if r.Events != events || r.StreamEntries >= events || !slices.Contains(kinds, verify.EventMissing) ||
		slices.ContainsFunc(kinds, func(kind string) bool { return kind != verify.EventMissing }) {
		t.Errorf("%d of %d events are in the stream, and the problems are %v", r.StreamEntries, r.Events, kinds)
	}
	t.Logf("%d of %d events are lost, told in %d problems", events-r.StreamEntries, events, r.Found)
}

// TestBesideTraffic checks again and again while schedules are written, published, fired and trimmed. No check may
// report a problem.
func TestBesideTraffic(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	done := make(chan struct{})
	var others sync.WaitGroup
	others.Go(func() { until(t, done, func(ctx context.Context) error { return publish(ctx, w) }) })
	written := make(chan struct{})
	others.Go(func() {
		defer close(written)
		w.write(t, 8, 60)
	})
	others.Go(func() { until(t, done, w.trimSome) })
	checks := 0
	for running := true; running; checks++ {
		if report := w.check(t, verify.Config{}); report.Found != 0 {
			t.Errorf("check %d: %+v", checks, report.Problems)
			running = false
		}
		select {
		case <-written:
			running = false
		default:
		}
	}
	<-written
	close(done)
	others.Wait()
	report := w.check(t, verify.Config{Wait: time.Second})
	if report.Found != 0 || report.Events != 480 || report.Unpublished != 0 || report.StreamEntries+report.Trimmed < 480 {
		t.Errorf("the check at the end: %+v", report)
	}
	t.Logf("%d checks beside traffic; at the end %d trimmed", checks, report.Trimmed)
}

// trimSome trims the older half of the stream.
func (w *world) trimSome(ctx context.Context) error {
	n, err := w.redis.XLen(ctx, stream).Result()
	if err != nil || n < 50 || rand.N(20) > 0 {
		return err
	}
	return w.redis.XTrimMaxLen(ctx, stream, n/2).Err()
}
