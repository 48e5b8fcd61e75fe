package redeliver_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5/pgxpool"
	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/redeliver"
	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/room"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay"
)

func TestMain(m *testing.M) { testenv.Main(m) }

const sink = "celery"

type world struct {
	pool  *pgxpool.Pool
	redis *goredis.Client
	store *outbox.Store
}

func newWorld(t *testing.T) *world {
	t.Helper()
	pool := testenv.Database(t)
	return &world{pool, testenv.Redis(t), outbox.NewStore(pool, "", handover.Limits{}.Check)}
}

// carry runs the real relay until the function that it returns is called.
func (w *world) carry(t *testing.T) (stop func()) {
	t.Helper()
	tasks, err := redis.NewTaskSink(w.redis, sink)
	if err != nil {
		t.Fatal(err)
	}
	r, err := relay.New(w.pool, []relay.Route{{
		Name: sink, Topic: outbox.Runs, Sink: tasks, Tasks: true, Redeliver: time.Hour,
		Encode: func(row outbox.Row, epoch string) (*message.Message, error) {
			return redis.EncodeRun(row, epoch, celery.Config{})
		},
	}}, relay.Config{Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { r.Run(ctx) })
	stop = func() {
		cancel()
		running.Wait()
	}
	t.Cleanup(stop)
	return stop
}

// fire fires runs of a schedule of the given name, which has a queue of the same name.
func (w *world) fire(t *testing.T, name string, n int, change ...func(*domain.Definition)) (ids []string) {
	t.Helper()
	d := domain.Definition{Name: name, CronExpression: "0 0 1 1 *", TaskName: "app.task", Queue: name}
	for _, c := range change {
		c(&d)
	}
	s, _, err := w.store.Put(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		id, err := w.store.Trigger(t.Context(), s.ID)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id.String())
	}
	return ids
}

// handed returns the task ids in a queue, in the order in which a worker takes them.
func (w *world) handed(t *testing.T, queue string) (ids []string) {
	t.Helper()
	all, err := w.redis.LRange(t.Context(), queue, 0, -1).Result()
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(all)
	for _, text := range all {
		var m struct{ Headers struct{ ID string } }
		if json.Unmarshal([]byte(text), &m) == nil { // a message that is not JSON is not ours
			ids = append(ids, m.Headers.ID)
		}
	}
	return ids
}

// await waits until a queue has exactly these tasks, and all runs whose events are readable are sent.
func (w *world) await(t *testing.T, queue string, want []string) {
	t.Helper()
	testenv.Eventually(t, "tasks in the queue", func() error {
		if got := w.handed(t, queue); !slices.Equal(got, want) {
			return fmt.Errorf("queue %s has %d tasks, want %d, in order", queue, len(got), len(want))
		}
		var due int
		err := w.pool.QueryRow(t.Context(), `select count(*) from tactus.runs where status = 'due' and id = any ($1::text[]::uuid[])`, want).Scan(&due)
		if err == nil && due > 0 {
			err = fmt.Errorf("%d runs are not sent", due)
		}
		return err
	})
}

func (w *world) sql(t *testing.T, sql string, args ...any) {
	t.Helper()
	if tag, err := w.pool.Exec(t.Context(), sql, args...); err != nil || tag.RowsAffected() == 0 {
		t.Fatalf("%s: %v, %v", sql, tag, err)
	}
}

var config = redeliver.Config{Sink: sink, NewerThan: time.Hour}

// lost returns what Find finds.
func (w *world) lost(t *testing.T, config redeliver.Config) (all []redeliver.Lost, open int64) {
	t.Helper()
	open, unread, err := redeliver.Find(t.Context(), w.pool, w.redis, config, func(page []redeliver.Lost) error {
		all = append(all, page...)
		return nil
	})
	if err != nil || len(unread) > 0 {
		t.Fatal(unread, err)
	}
	return all, open
}

func ids(lost []redeliver.Lost) (all []string) {
	for _, run := range lost {
		all = append(all, run.Run.String())
	}
	return all
}

func (w *world) again(t *testing.T, lost []redeliver.Lost) int64 {
	t.Helper()
	n, err := redeliver.Again(t.Context(), w.pool, config, &room.Room{}, lost)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestPurgedQueue deletes a queue only, which the relay cannot notice. The same tasks are handed over again, once.
func TestPurgedQueue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.carry(t)
	kept, purged := w.fire(t, "kept", 3), w.fire(t, "purged", 700)
	w.await(t, "kept", kept)
	w.await(t, "purged", purged)
	if lost, open := w.lost(t, config); len(lost) != 0 || open != 703 {
		t.Errorf("%d of %d are lost", len(lost), open)
	}
	w.redis.Del(t.Context(), "purged")
	lost, open := w.lost(t, config)
	if !slices.Equal(ids(lost), purged) || open != 703 || lost[0].Queue != "purged" || lost[0].Name != "purged" {
		t.Fatalf("%d of %d are lost: %+v", len(lost), open, lost[:1])
	}
	if n := w.again(t, lost); n != 700 {
		t.Errorf("%d runs are handed over again", n)
	}
	w.await(t, "purged", purged)
	if lost, _ := w.lost(t, config); len(lost) != 0 {
		t.Errorf("%d runs still count as lost", len(lost))
	}
	w.redis.FlushDB(t.Context()) // the relay notices, and must not redeliver a run for both of its events
	w.await(t, "purged", purged)
	w.await(t, "kept", kept)
}

// TestWhatIsLost checks which runs count as lost, among runs that look similar.
func TestWhatIsLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := w.carry(t)
	all := w.fire(t, "q", 9)
	w.await(t, "q", all)
	ignored := w.fire(t, "ignored", 1, func(d *domain.Definition) { d.IgnoreResult = true })
	w.await(t, "ignored", ignored)
	urgent := 0
	other := w.fire(t, "other", 1, func(d *domain.Definition) { d.Priority = &urgent })
	w.await(t, "other", other)
	messages, err := w.redis.LRange(t.Context(), "q", 0, -1).Result()
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(messages)
	for _, queue := range []string{"q", "ignored", "other"} {
		w.redis.Del(t.Context(), queue)
	}
	w.redis.RPush(t.Context(), "q", messages[0], "not ours", `{"headers":{"id":7}}`)
	w.redis.HSet(t.Context(), "unacked", "tag", `[`+messages[1]+`,"","q"]`, "bad", `{`)
	w.sql(t, `update tactus.runs set status = 'started', started_at = now() where id::text = $1`, all[2])
	w.sql(t, `update tactus.runs set status = 'succeeded', finished_at = now() where id::text = $1`, all[3])
	w.sql(t, `update tactus.runs set expires_at = now() where id::text = $1`, all[4])
	w.sql(t, `update tactus.runs set waiting = true where id::text = $1`, all[5])
	w.sql(t, `update tactus.runs set fired_at = now() - interval '2 hours' where id::text = $1`, all[6])
	w.sql(t, `update tactus.runs set sent_at = now() - interval '20 minutes' where id::text = $1`, all[7])
	stop()
	waiting := w.fire(t, "q", 1) // not handed over yet
	for name, c := range map[string]struct {
		change func(*redeliver.Config)
		want   []string
	}{
		"by default":              {func(*redeliver.Config) {}, []string{all[7], all[8], other[0]}},
		"older":                   {func(c *redeliver.Config) { c.OlderThan = 10 * time.Minute }, all[7:8]},
		"farther back":            {func(c *redeliver.Config) { c.NewerThan = 3 * time.Hour }, []string{all[6], all[7], all[8], other[0]}},
		"with what tells nothing": {func(c *redeliver.Config) { c.Untracked = true }, []string{all[7], all[8], ignored[0], other[0]}},
		"of another schedule":     {func(c *redeliver.Config) { c.Schedule = outbox.NewID() }, nil},
		"of no such sink":         {func(c *redeliver.Config) { c.Sink = "none" }, []string{all[7], all[8], other[0]}},
	} {
		changed := config
		c.change(&changed)
		if lost, _ := w.lost(t, changed); !slices.Equal(ids(lost), c.want) {
			t.Errorf("%s: %v, want %v", name, ids(lost), c.want)
		}
	}
	w.carry(t)
	w.await(t, "q", []string{all[0], waiting[0]})
}

// TestStartedMeanwhile has runs start after they were found lost, and after redelivery was asked for: none runs again.
func TestStartedMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := w.carry(t)
	all := w.fire(t, "q", 4)
	w.await(t, "q", all)
	w.redis.Del(t.Context(), "q")
	lost, _ := w.lost(t, config)
	w.sql(t, `update tactus.runs set status = 'started', started_at = now() where id::text = $1`, all[0])
	stop()
	if n := w.again(t, lost); n != 3 {
		t.Errorf("%d runs are handed over again", n)
	}
	if n := w.again(t, lost); n != 3 { // without asking first whether they are lost: only the newest event counts
		t.Errorf("%d runs are handed over again", n)
	}
	if lost, _ := w.lost(t, config); len(lost) != 0 {
		t.Errorf("runs that wait for the relay count as lost: %v", ids(lost))
	}
	w.sql(t, `update tactus.runs set status = 'started', started_at = now() where id::text = $1`, all[1])
	w.sql(t, `update tactus.runs set expires_at = now() where id::text = $1`, all[2])
	w.carry(t)
	w.await(t, "q", all[3:])
}

// TestQueueThatCannotBeRead has queues of another type and one that the user may not read: lost runs of others are
// found.
func TestQueueThatCannotBeRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	server := testenv.RedisServer(t, nil)
	w.redis = testenv.Client(t, server.URL(0))
	w.carry(t)
	names := []string{"text", "set", "hash", "stream", "denied", "purged"}
	fired := map[string][]string{}
	for _, name := range names {
		fired[name] = w.fire(t, name, 2)
		w.await(t, name, fired[name])
	}
	w.redis.Del(t.Context(), names...)
	w.redis.Set(t.Context(), "text", "x", 0)
	w.redis.SAdd(t.Context(), "set", "x")
	w.redis.HSet(t.Context(), "hash", "x", "x")
	w.redis.XAdd(t.Context(), &goredis.XAddArgs{Stream: "stream", Values: []any{"x", "x"}})
	rights := []any{"acl", "setuser", "reader", "on", ">secret", "~text", "~set", "~hash", "~stream", "~purged", "~unacked", "+@all"}
	if err := w.redis.Do(t.Context(), rights...).Err(); err != nil {
		t.Fatal(err)
	}
	reader := goredis.NewClient(&goredis.Options{Addr: server.Addr(), Username: "reader", Password: "secret"})
	defer reader.Close()
	var found []redeliver.Lost
	open, unread, err := redeliver.Find(t.Context(), w.pool, reader, config,
		func(page []redeliver.Lost) error {
			found = append(found, page...)
			return nil
		})
	if err != nil || open != 12 || !slices.Equal(ids(found), fired["purged"]) {
		t.Errorf("%d of %d are lost: %v", len(found), open, err)
	}
	var told []string
	for _, u := range unread {
		told = append(told, u.Queue)
		if u.Runs != 2 || u.Err == nil {
			t.Errorf("%+v", u)
		}
	}
	if want := []string{"denied", "hash", "set", "stream", "text"}; !slices.Equal(told, want) {
		t.Errorf("unreadable queues %v, want %v", told, want)
	}
}
