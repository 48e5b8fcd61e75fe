package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/servers"
	"github.com/tactus-dev/tactus/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// world is everything that runs. The processes reach the servers through proxies, and the test itself directly.
type world struct {
	t      *testing.T
	random *rand.Rand

	postgres  *servers.Postgres
	standby   *servers.Postgres
	pool      *pgxpool.Pool
	pgProxy   *testenv.Proxy
	redis     *servers.Redis // the Redis behind the proxy
	spare     *servers.Redis // its replica, which may be promoted
	rdProxy   *testenv.Proxy
	broker    string // the Redis in use, through its proxy
	processes []*process
}

// process is a tactus process that is started again after it was killed.
type process struct {
	name    string
	command []string
	env     []string
	running *testenv.Process
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{t: t, random: rand.New(rand.NewPCG(seed, seed))}
	var database string
	w.postgres, database = testenv.Postgres(t, nil)
	w.redis, w.spare = testenv.RedisServer(t, nil), testenv.RedisServer(t, nil)
	w.standby, _ = testenv.Standby(t, w.postgres)
	w.pool = testenv.Connect(t, database)
	var proxied string
	w.pgProxy, proxied = testenv.Through(t, database)
	w.rdProxy, w.broker = testenv.Through(t, w.redis.URL(0))
	env := []string{"DATABASE_URL=" + proxied, "REDIS_URL=" + w.broker, "TACTUS_LISTEN_URL=" + proxied, "CELERY_BEAT_MIN_SYNC_INTERVAL=0.5"}
	for _, role := range []string{"relay", "beat"} {
		for n := range 2 {
			name := fmt.Sprintf("%s-%d", role, n)
			p := &process{name: name, command: []string{role, "--http-addr", "127.0.0.1:0"}, env: append(env, "TACTUS_BEAT_NAME="+name)}
			w.processes = append(w.processes, p)
			w.start(p)
		}
	}
	w.follow()
	return w
}

func (w *world) start(p *process, env ...string) {
	p.running = testenv.Program{Env: append(p.env, env...), Tags: "clockskew"}.Start(w.t, p.command...)
}

// any returns a running process of a role.
func (w *world) any(role string) *process {
	var those []*process
	for _, p := range w.processes {
		if p.command[0] == role {
			those = append(those, p)
		}
	}
	return those[w.random.IntN(len(those))]
}

// command runs a command on a Redis, and only logs an error: the server may be down.
func (w *world) command(server *servers.Redis, args ...any) {
	options, err := goredis.ParseURL(server.URL(0))
	w.must(err)
	options.MaxRetries = -1
	client := goredis.NewClient(options)
	defer client.Close()
	if err := client.Do(w.t.Context(), args...).Err(); err != nil {
		w.t.Logf("%v: %v", args, err)
	}
}

// follow makes the spare a replica of the Redis in use.
func (w *world) follow() {
	host, port, err := net.SplitHostPort(w.redis.Addr())
	w.must(err)
	w.command(w.spare, "replicaof", host, port)
}

// must fails the test when a step of a fault itself fails.
func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// heal ends all faults, and starts whatever is not running.
func (w *world) heal() {
	w.pgProxy.Heal()
	w.rdProxy.Heal()
	for _, p := range w.processes {
		if p.running.HasEnded() {
			w.start(p)
		}
	}
	for _, p := range w.processes {
		p.running.AwaitReady()
	}
}

func (w *world) execute(ctx context.Context, sql string, args ...any) {
	if _, err := w.pool.Exec(ctx, sql, args...); err != nil {
		w.t.Logf("%s: %v", sql, err)
	}
}
