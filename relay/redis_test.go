package relay_test

import (
	"fmt"
	"net"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/servers"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/relay"
)

// TestRedisComesBack stops Redis, and brings it back with an old copy of its data, and then empty.
func TestRedisComesBack(t *testing.T) {
	t.Parallel()
	server := testenv.RedisServer(t, nil)
	w := at(t, testenv.Database(t), testenv.Client(t, server.URL(0)))
	r, _ := w.relay(t, relay.Config{}, w.events())
	w.put(t, "a", 5)
	w.awaitEvents(t)
	if err := w.redis.Save(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	for _, stale := range []bool{true, false} {
		w.put(t, "a", 5)
		w.awaitEvents(t)
		if err := server.Kill(); err != nil {
			t.Fatal(err)
		}
		w.put(t, "while it is down", 5)
		testenv.Eventually(t, "the trouble told", func() error {
			if s := r.Stats()[0]; s.Problem == nil || s.Unpublished.IsZero() {
				return fmt.Errorf("%+v", s)
			}
			return nil
		})
		if !stale {
			if err := server.Wipe(); err != nil {
				t.Fatal(err)
			}
		}
		if err := server.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if loaded := w.loaded(t); loaded != stale {
			t.Errorf("an old copy was loaded: %v, want %v", loaded, stale)
		}
		w.awaitEvents(t)
	}
	testenv.Eventually(t, "served", func() error { return r.Stats()[0].Problem })
	w.oneEpoch(t, eventSink)
}

// loaded reports whether Redis started with a copy that was not empty.
func (w *world) loaded(t *testing.T) bool {
	t.Helper()
	info, err := w.redis.Info(t.Context(), "persistence").Result()
	if err != nil || !strings.Contains(info, "rdb_last_load_keys_loaded:") {
		t.Fatalf("%v: %s", err, info)
	}
	return !strings.Contains(info, "rdb_last_load_keys_loaded:0\r")
}

// oneEpoch checks that no loss of a sink was taken for a loss of PostgreSQL.
func (w *world) oneEpoch(t *testing.T, sink string) {
	t.Helper()
	if n := w.number(t, `select count(distinct epoch) from tactus.relay_batches where sink = $1`, sink); n != 1 {
		t.Errorf("%d epochs of %s", n, sink)
	}
}

// TestStreamIsEvicted fills Redis until it evicts the stream. When there is memory again, the whole stream comes back.
func TestStreamIsEvicted(t *testing.T) {
	t.Parallel()
	server := testenv.RedisServer(t, map[string]string{"maxmemory-policy": "allkeys-lru"})
	w := at(t, testenv.Database(t), testenv.Client(t, server.URL(0)))
	r, _ := w.relay(t, relay.Config{}, w.events())
	w.put(t, "a", 5)
	w.awaitEvents(t)
	before, published := w.ids(t), r.Stats()[0].Published
	limit := func(maxmemory string) {
		t.Helper()
		if err := w.redis.ConfigSet(t.Context(), "maxmemory", maxmemory).Err(); err != nil {
			t.Fatal(err)
		}
	}
	limit("2mb")
	filler, n := strings.Repeat("x", 10_000), 0
	testenv.Eventually(t, "the stream is thrown away", func() error {
		if there, err := w.redis.Exists(t.Context(), redis.EventStream).Result(); err != nil || there == 0 {
			return err
		}
		for range 20 {
			n++
			if err := w.redis.Set(t.Context(), fmt.Sprint("filler-", n), filler, 0).Err(); err != nil {
				return err
			}
		}
		return errNotYet
	})
	limit("0")
	w.put(t, "a", 2)
	w.awaitEvents(t)
	if after := w.ids(t); len(after) != len(before)+2 || !strings.HasPrefix(fmt.Sprint(after), strings.TrimSuffix(fmt.Sprint(before), "]")) {
		t.Errorf("before %v, and after %v", before, after)
	}
	if again := r.Stats()[0].Published - published; again < int64(len(before)) {
		t.Errorf("%d were published again, of %d: the stream was there", again, len(before))
	}
	w.oneEpoch(t, eventSink)
}

// TestReplicaPromotedWithoutTheTail fails over to a replica that lacks the newest data. Events come again with the same
// IDs. Tasks that the replica has do not come again, even though none has started; of those that it lacks, the ones
// come again that are not known to have started, have not expired and are young enough.
func TestReplicaPromotedWithoutTheTail(t *testing.T) {
	t.Parallel()
	primary := testenv.RedisServer(t, map[string]string{"repl-diskless-sync-delay": "0"})
	replication, source := testenv.Through(t, primary.URL(0))
	spare := follower(t, source)
	proxy, through := testenv.Through(t, primary.URL(0))
	w := at(t, testenv.Database(t), testenv.Client(t, through))
	w.carry(t, w.events(), w.tasks(t))
	w.put(t, "a", 5)
	all := w.fire(t, "q", 3)
	w.awaitEvents(t)
	w.awaitTasks(t, "q", all)
	promoted := testenv.Client(t, spare.URL(0))
	sameAs(t, promoted, w.redis)

	replication.Refuse()
	w.put(t, "a", 5)
	lost := w.fire(t, "q", 6)
	w.awaitEvents(t)
	w.awaitTasks(t, "q", append(all, lost...))
	w.sql(t, `update tactus.runs set status = 'started', started_at = now() where id::text = $1`, lost[0])
	w.sql(t, `update tactus.runs set status = 'succeeded', started_at = now(), finished_at = now() where id::text = $1`, lost[1])
	w.sql(t, `update tactus.runs set expires_at = now() - interval '1 second' where id::text = $1`, lost[2])
	w.sql(t, `update tactus.outbox set occurred_at = now() - interval '2 hours' where aggregate_id::text = $1`, lost[3])
	before := w.ids(t)
	if err := primary.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := promoted.Do(t.Context(), "replicaof", "no", "one").Err(); err != nil {
		t.Fatal(err)
	}
	if n := promoted.LLen(t.Context(), "q").Val(); n != 3 {
		t.Fatalf("the replica has %d tasks: it lacks no tail", n)
	}
	proxy.Retarget(t, spare.URL(0))
	w.awaitEvents(t)
	all = append(all, lost[4:]...)
	w.awaitTasks(t, "q", all)
	all = append(all, w.fire(t, "q", 2)...)
	w.awaitTasks(t, "q", all)
	if n := w.number(t, `select count(*) from tactus.runs where redelivered = 1 and id = any ($1::text[]::uuid[])`, lost[4:]); n != 2 {
		t.Errorf("%d of what was handed over again count it", n)
	}
	if n := w.number(t, `select sum(redelivered) from tactus.runs`); n != 2 {
		t.Errorf("%d count as handed over again", n)
	}
	if after := w.ids(t); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("before %v, and after %v", before, after)
	}
	w.oneEpoch(t, eventSink)
	w.oneEpoch(t, taskSink)
}

// follower starts a replica of the Redis of a URL.
func follower(t *testing.T, source string) *servers.Redis {
	t.Helper()
	options, err := goredis.ParseURL(source)
	if err != nil {
		t.Fatal(err)
	}
	host, port, err := net.SplitHostPort(options.Addr)
	if err != nil {
		t.Fatal(err)
	}
	return testenv.RedisServer(t, map[string]string{"replicaof": host + " " + port, "repl-diskless-sync-delay": "0"})
}

// sameAs waits until a replica has all data of its primary.
func sameAs(t *testing.T, replica, primary *goredis.Client) {
	t.Helper()
	testenv.Eventually(t, "a replica", func() error {
		for _, command := range [][]any{{"xlen", redis.EventStream}, {"llen", "q"}} {
			here, err := replica.Do(t.Context(), command...).Int()
			there, errThere := primary.Do(t.Context(), command...).Int()
			if err != nil || errThere != nil || here != there {
				return fmt.Errorf("%v: %d of %d: %v, %v", command, here, there, err, errThere)
			}
		}
		return nil
	})
}
