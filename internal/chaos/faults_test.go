package chaos

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/internal/testenv"
)

// fault applies a fault, and returns the function that ends it after hold. Faults of one group never overlap.
type fault struct {
	name  string
	group string
	hold  time.Duration // at most
	harm  func(*world) (end func())
}

var faults = []fault{
	{"relay killed", "relay", 2 * time.Second, killed("relay")},
	{"relay stopped and resumed", "relay", 4 * time.Second, stopped("relay")},
	{"beat killed", "beat", 2 * time.Second, killed("beat")},
	{"beat stopped past its lease and resumed", "beat", 14 * time.Second, stopped("beat")},
	{"beat started with its clock an hour ahead", "beat", 3 * time.Second, skewed("1h")},
	{"beat started with its clock an hour behind", "beat", 3 * time.Second, skewed("-1h")},

	{"Redis stopped answering", "redis", 3 * time.Second, redisPaused},
	{"Redis stopped", "redis", 3 * time.Second, redisStopped},
	{"Redis restarted empty", "redis", time.Second, redisEmptied},
	{"Redis flushed", "redis", 0, redisFlushed},
	{"Redis back with a stale copy", "redis", 2 * time.Second, redisStale},
	{"Redis replica promoted without the tail", "redis", time.Second, redisPromoted},
	{"Redis evicting under allkeys-lru", "redis", 2 * time.Second, redisMemory("allkeys-lru")},
	{"Redis out of memory", "redis", 2 * time.Second, redisMemory("noeviction")},
	{"Redis connections reset", "redis", 0, func(w *world) func() { w.rdProxy.Reset(); return nil }},
	{"Redis connection cut after some bytes", "redis", 2 * time.Second, cut(func(w *world) *testenv.Proxy { return w.rdProxy })},
	{"Redis answers lost", "redis", 2 * time.Second, func(w *world) func() {
		w.rdProxy.BlackHole(testenv.ToClient)
		return func() { w.rdProxy.Reset(); w.rdProxy.Heal() }
	}},

	{"Postgres backends killed", "postgres", 0, backendsKilled},
	{"Postgres crashed", "postgres", time.Second, postgresCrashed},
	{"Postgres connection cut after some bytes", "postgres", 2 * time.Second, cut(func(w *world) *testenv.Proxy { return w.pgProxy })},
	{"Postgres unreachable", "postgres", 3 * time.Second, func(w *world) func() { w.pgProxy.Refuse(); return w.pgProxy.Heal }},
	{"Postgres slow", "postgres", 2 * time.Second, func(w *world) func() { w.pgProxy.Delay(50 * time.Millisecond); return w.pgProxy.Heal }},
	{"Postgres standby offered as the primary", "postgres", 4 * time.Second, standbyOffered},
	{"long unrelated write transaction", "transaction", 5 * time.Second, longTransaction},
	{"prepared transaction left open", "transaction", 5 * time.Second, preparedTransaction},
}

func killed(role string) func(*world) func() {
	return func(w *world) func() {
		p := w.any(role)
		p.running.Kill()
		return func() { w.start(p) }
	}
}

func stopped(role string) func(*world) func() {
	return func(w *world) func() {
		p := w.any(role).running
		p.Pause()
		return p.Resume
	}
}

// skewed restarts a beat with a wrong clock, and later with the right one.
func skewed(by string) func(*world) func() {
	return func(w *world) func() {
		p := w.any("beat")
		p.running.Kill()
		w.start(p, "TACTUS_TEST_CLOCK_SKEW="+by)
		return func() {
			p.running.Kill()
			w.start(p)
		}
	}
}

func cut(of func(*world) *testenv.Proxy) func(*world) func() {
	return func(w *world) func() {
		of(w).Cut(testenv.Direction(w.random.IntN(2)), w.random.Int64N(20_000))
		return of(w).Heal
	}
}

func redisPaused(w *world) func() {
	w.must(w.redis.Pause())
	return func() { w.must(w.redis.Resume()) }
}

func redisStopped(w *world) func() {
	w.command(w.redis, "save")
	w.must(w.redis.Kill())
	return func() { w.must(w.redis.Start(w.t.Context())) }
}

func redisEmptied(w *world) func() {
	w.must(w.redis.Kill())
	w.must(w.redis.Wipe())
	return func() { w.must(w.redis.Start(w.t.Context())) }
}

func redisFlushed(w *world) func() {
	w.command(w.redis, "flushall")
	return nil
}

// redisStale copies Redis' data and later restores the copy, as from an old backup.
func redisStale(w *world) func() {
	w.command(w.redis, "save")
	return func() {
		w.must(w.redis.Kill())
		w.must(w.redis.Start(w.t.Context()))
	}
}

// redisPromoted cuts the replica off, lets the primary continue for a while, and then fails over to the replica.
func redisPromoted(w *world) func() {
	w.command(w.spare, "replicaof", "no", "one")
	return func() {
		w.must(w.redis.Kill())
		w.must(w.redis.Wipe())
		w.redis, w.spare = w.spare, w.redis
		w.rdProxy.Retarget(w.t, w.redis.URL(0))
		w.must(w.spare.Start(w.t.Context()))
		w.follow()
	}
}

func redisMemory(policy string) func(*world) func() {
	return func(w *world) func() {
		w.command(w.redis, "config", "set", "maxmemory-policy", policy, "maxmemory", "1500kb")
		server := w.redis
		return func() { w.command(server, "config", "set", "maxmemory", "0", "maxmemory-policy", "noeviction") }
	}
}

func backendsKilled(w *world) func() {
	w.execute(w.t.Context(), `select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and backend_type = 'client backend'`)
	return nil
}

func postgresCrashed(w *world) func() {
	w.must(w.postgres.Kill())
	return func() { w.must(w.postgres.Start(w.t.Context())) }
}

// standbyOffered connects everybody to the standby, as a wrong DNS entry does, and later back.
func standbyOffered(w *world) func() {
	w.pgProxy.Retarget(w.t, w.standby.URL("tactus"))
	return func() { w.pgProxy.Retarget(w.t, w.postgres.URL("tactus")) }
}

// transaction begins a transaction that has written; nil when PostgreSQL cannot be reached.
func transaction(w *world) *pgx.Conn {
	conn, err := pgx.Connect(w.t.Context(), w.pool.Config().ConnString())
	if err == nil {
		_, err = conn.Exec(w.t.Context(), `begin; create temporary table unrelated as select pg_current_xact_id() as id`)
	}
	if err != nil {
		w.t.Logf("begin a transaction: %v", err)
		return nil
	}
	return conn
}

func longTransaction(w *world) func() {
	conn := transaction(w)
	if conn == nil {
		return nil
	}
	return func() { _ = conn.Close(context.Background()) } // the server may have crashed meanwhile
}

func preparedTransaction(w *world) func() {
	conn, err := pgx.Connect(w.t.Context(), w.pool.Config().ConnString())
	name := fmt.Sprintf("chaos-%d", w.random.Int64())
	if err == nil {
		_, err = conn.Exec(w.t.Context(), `begin; select pg_current_xact_id(); prepare transaction '`+name+`'`)
	}
	if err != nil {
		w.t.Logf("prepare a transaction: %v", err)
		return nil
	}
	return func() {
		_ = conn.Close(context.Background()) // the server may have crashed meanwhile; a prepared transaction outlives that
		testenv.Eventually(w.t, "roll the prepared transaction back", func() error {
			_, err := w.pool.Exec(w.t.Context(), `rollback prepared '`+name+`'`)
			return err
		})
	}
}
