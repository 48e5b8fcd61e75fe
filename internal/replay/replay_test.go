package replay_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/replay"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

func TestMain(m *testing.M) { testenv.Main(m) }

const key = "tactus:replay:1"

type world struct {
	pool  *pgxpool.Pool
	redis *redis.Client
	store *outbox.Store
}

func newWorld(t *testing.T) world {
	t.Helper()
	pool := testenv.Database(t)
	return world{pool, testenv.Redis(t), outbox.NewStore(pool, "", handover.Limits{}.Check)}
}

// change writes n versions of a schedule.
func (w world) change(t *testing.T, name string, n int) (s domain.Schedule) {
	t.Helper()
	for i := range n {
		var err error
		s, _, err = w.store.Put(t.Context(), domain.Definition{Name: name, CronExpression: "*/5 * * * *", TaskName: "app.task", Description: fmt.Sprint(i)})
		if err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (w world) open(t *testing.T) *replay.Target {
	t.Helper()
	target, err := replay.Open(t.Context(), w.pool, w.redis, key, celery.Config{KeyPrefix: "p:"})
	if err != nil {
		t.Fatal(err)
	}
	return target
}

func (w world) begin(t *testing.T, r replay.Range) replay.Plan {
	t.Helper()
	plan, err := replay.Begin(t.Context(), w.pool, r)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// replayed reads the stream as a stock subscriber does, checks that each event is marked as replayed, and returns the
// ids.
func (w world) replayed(t *testing.T) (ids []string) {
	t.Helper()
	entries, err := w.redis.XRange(t.Context(), key, "-", "+").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		m, err := redisstream.DefaultMarshallerUnmarshaller{}.Unmarshal(entry.Values)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, held(t, m))
	}
	return ids
}

func held(t *testing.T, m *message.Message) string {
	t.Helper()
	var e struct{ ID, Type string }
	if err := json.Unmarshal(m.Payload, &e); err != nil || e.ID != m.UUID || !strings.HasPrefix(e.Type, "schedule.") {
		t.Errorf("%s: %+v, %v", m.UUID, e, err)
	}
	if _, err := time.Parse(time.RFC3339Nano, m.Metadata.Get(replay.Header)); err != nil {
		t.Errorf("%s is not marked: %v", m.UUID, err)
	}
	return e.ID
}

// logged returns the ids of the events in the log.
func (w world) logged(t *testing.T, where string, args ...any) (ids []string) {
	t.Helper()
	rows, err := w.pool.Query(t.Context(), `select aggregate_id || '/' || version from tactus.outbox where topic = 'schedule' and `+where+` order by position`, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

func TestRanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.change(t, "a", 5)
	w.change(t, "b", 5)
	if _, err := w.store.Trigger(t.Context(), a.ID); err != nil {
		t.Fatal(err)
	}
	var sixth time.Time
	if err := w.pool.QueryRow(t.Context(), `select occurred_at from tactus.outbox where position = 6`).Scan(&sixth); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		replay.Range
		want string
	}{
		"all":            {replay.Range{}, `true`},
		"positions":      {replay.Range{From: replay.Bound{Position: 3}, To: replay.Bound{Position: 7}}, `position between 3 and 7`},
		"since a time":   {replay.Range{From: replay.Bound{Time: sixth}}, `position >= 6`},
		"until a time":   {replay.Range{To: replay.Bound{Time: sixth}}, `position <= 6`},
		"one schedule":   {replay.Range{Schedule: a.ID}, `position <= 5`},
		"one type":       {replay.Range{Types: []domain.EventType{domain.ScheduleCreated}}, `version = 1`},
		"all conditions": {replay.Range{From: replay.Bound{Position: 2}, Schedule: a.ID, Types: []domain.EventType{domain.ScheduleUpdated, domain.ScheduleDeleted}}, `position between 2 and 5`},
	} {
		w.redis.FlushDB(t.Context())
		var told int64
		err := w.open(t).Run(t.Context(), w.pool, w.begin(t, c.Range), 0, func(n int64) { told = n })
		if err != nil {
			t.Fatal(err)
		}
		want := w.logged(t, c.want)
		if got := w.replayed(t); !slices.Equal(got, want) || told != int64(len(want)) {
			t.Errorf("%s: published %v, and counted %d; want %v", name, got, told, want)
		}
	}
}

// TestInterrupted ends a replay again and again. Events that commit meanwhile, even at a lower position, are not part
// of it.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.change(t, "a", 20)
	late, err := w.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := outbox.Put(t.Context(), late, domain.Definition{Name: "late", CronExpression: "* * * * *", TaskName: "app.task"}); err != nil {
		t.Fatal(err)
	}
	w.change(t, "b", 20)
	want := w.logged(t, `true`)
	plan := w.begin(t, replay.Range{})
	for i := 0; ; i++ {
		if i == 2 {
			if err := late.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.change(t, "c", 1)
		}
		ctx, cancel := context.WithCancel(t.Context())
		target := w.open(t)
		if held, err := target.Plan(); i > 0 {
			if err != nil || !held.Same(plan.Range) || held.Snapshot != plan.Snapshot {
				t.Fatalf("the plan in the stream is %+v, %v", held, err)
			}
			plan = held
		} else if !errors.Is(err, replay.ErrNone) {
			t.Fatal(err)
		}
		err := target.Run(ctx, w.pool, plan, 70, func(int64) { cancel() })
		cancel()
		if err == nil {
			break
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	if got := w.replayed(t); !slices.Equal(got, want) {
		t.Errorf("%v\nwant %v", got, want)
	}
	if counts, err := plan.Count(t.Context(), w.pool, w.open(t).Position()); err != nil || len(counts) != 0 {
		t.Errorf("events left over: %+v, %v", counts, err)
	}
}

// TestRestored replays a log that was restored from another server, whose transactions had higher numbers.
func TestRestored(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.change(t, "a", 5)
	_, err := w.pool.Exec(t.Context(), `
with old as (update tactus.outbox set xid = '9000000000' returning position)
insert into tactus.relay_sinks (sink, topic, epoch, timeline, system_identifier, floor)
select 'events', 'schedule', 'e', 't', 's', max(position) from old`)
	if err != nil {
		t.Fatal(err)
	}
	w.change(t, "b", 2)
	counts, err := w.begin(t, replay.Range{}).Count(t.Context(), w.pool, 0)
	if err != nil {
		t.Fatal(err)
	}
	n := int64(0)
	for _, c := range counts {
		n += c.N
	}
	if want := len(w.logged(t, "true")); n != int64(want) {
		t.Errorf("%d events would be replayed, of %d", n, want)
	}
}

// TestLostIsRefilled replays into a stream that Redis has lost.
func TestLostIsRefilled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.change(t, "a", 10)
	plan := w.begin(t, replay.Range{})
	for range 2 {
		if err := w.open(t).Run(t.Context(), w.pool, plan, 0, nil); err != nil {
			t.Fatal(err)
		}
		if got := w.replayed(t); len(got) != 10 {
			t.Fatalf("%v", got)
		}
		w.redis.Del(t.Context(), key)
	}
}

// TestTwoAtOnce runs one plan twice at a time: each event is published once, whichever of the two runs gives way.
func TestTwoAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.change(t, "a", 60)
	plan := w.begin(t, replay.Range{})
	var group sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		target := w.open(t)
		group.Go(func() { errs[i] = target.Run(t.Context(), w.pool, plan, 100, nil) })
	}
	group.Wait()
	if got := w.replayed(t); !slices.Equal(got, w.logged(t, `true`)) {
		t.Errorf("%v", got)
	}
	if i := slices.Index(errs, nil); i < 0 {
		t.Errorf("neither run has finished: %v", errs)
	}
}

func TestThrottled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.change(t, "a", 20)
	began := time.Now()
	if err := w.open(t).Run(t.Context(), w.pool, w.begin(t, replay.Range{}), 50, nil); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 400*time.Millisecond {
		t.Errorf("20 events at 50 a second took %s", took)
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, d := range map[string]domain.Definition{
		"queued":   {Queue: "reports"},
		"streamed": {Stream: "orders"},
		"deleted":  {Queue: "old"},
	} {
		d.Name, d.CronExpression, d.TaskName = name, "* * * * *", "app.task"
		s, err := w.store.Create(t.Context(), d, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		if name == "deleted" {
			if err := w.store.Delete(t.Context(), s.ID, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.redis.RPush(t.Context(), "a list", 1)
	w.redis.HSet(t.Context(), "a hash", "x", 1)
	w.redis.SAdd(t.Context(), "p:_kombu.binding.declared", 1)
	w.redis.XAdd(t.Context(), &redis.XAddArgs{Stream: "somebody's", Values: []string{"x", "y"}})
	w.redis.HSet(t.Context(), "{a sink}:sink", "epoch", "k3v9", "last", "4-1")
	for _, key := range []string{
		"", "tactus:events", "celery", "p:celery", "celery\x06\x163", "p:celery\x06\x163", "p:reports", "p:unacked", "reports", "reports\x06\x169", "orders", "old", "declared", "a list",
		"a hash", "somebody's", "a sink", "_kombu.binding.x", "unacked", "celery-task-meta-1",
	} {
		if _, err := replay.Open(t.Context(), w.pool, w.redis, key, celery.Config{KeyPrefix: "p:"}); !refusal(err) {
			t.Errorf("%q: %v", key, err)
		}
	}
	for _, kind := range []domain.EventType{domain.RunDue, domain.LogEpochStarted, "schedule.renamed"} {
		if _, err := replay.Begin(t.Context(), w.pool, replay.Range{Types: []domain.EventType{kind}}); !refusal(err) {
			t.Errorf("%s: %v", kind, err)
		}
	}
	if err := w.open(t).Run(t.Context(), w.pool, w.begin(t, replay.Range{}), 0, nil); err != nil {
		t.Fatal(err)
	}
	if err := w.open(t).Run(t.Context(), w.pool, w.begin(t, replay.Range{From: replay.Bound{Position: 2}}), 0, nil); !refusal(err) {
		t.Errorf("another replay in the same stream: %v", err)
	}
	if got := w.replayed(t); len(got) != 4 {
		t.Errorf("%v", got)
	}
}

func refusal(err error) bool {
	r, ok := errors.AsType[*replay.Refusal](err)
	return ok && r.Reason != ""
}
