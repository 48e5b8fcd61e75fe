package testenv

import (
	"context"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/servers"
)

const redisDatabases = 64

// sharedRedis gives out the numbered databases of this process's Redis.
var sharedRedis = sync.OnceValues(func() (chan string, error) {
	url := func(n int) string {
		return strings.TrimRight(os.Getenv("TACTUS_TEST_REDIS_URL"), "/") + "/" + strconv.Itoa(n)
	}
	if os.Getenv("TACTUS_TEST_REDIS_URL") == "" {
		cfg, err := serverConfig(map[string]string{"databases": strconv.Itoa(redisDatabases)})
		if err != nil {
			return nil, err
		}
		server, err := startRedis(context.Background(), cfg)
		if err != nil {
			return nil, err
		}
		onClose(func(context.Context) error { return server.Kill() })
		url = server.URL
	}
	free := make(chan string, redisDatabases)
	for n := range redisDatabases {
		free <- url(n)
	}
	return free, nil
})

// RedisURL lends t an empty Redis database. Pub/Sub channels are shared by all databases of a server: a test that
// listens to a channel names one of its own.
func RedisURL(t testing.TB) string {
	t.Helper()
	free, err := sharedRedis()
	if err != nil {
		t.Fatalf("start Redis: %v", err)
	}
	url := <-free
	client := Client(t, url)
	if err := client.FlushDB(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { free <- url })
	return url
}

// Redis lends t an empty Redis database, connected.
func Redis(t testing.TB) *redis.Client {
	t.Helper()
	return Client(t, RedisURL(t))
}

// Client connects to a Redis until t ends.
func Client(t testing.TB, url string) *redis.Client {
	t.Helper()
	options, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(options)
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	return client
}

// RedisServer starts a Redis for t alone, for tests that break it.
func RedisServer(t testing.TB, settings map[string]string) *servers.Redis {
	t.Helper()
	cfg, err := serverConfig(settings)
	if err != nil {
		t.Fatal(err)
	}
	server, err := startRedis(t.Context(), cfg)
	if err != nil {
		t.Fatalf("start Redis: %v", err)
	}
	t.Cleanup(func() { _ = server.Kill() }) // nothing in it is needed any more
	return server
}

// startRedis starts the kind of Redis that this run of the tests is about.
func startRedis(ctx context.Context, cfg servers.Config) (*servers.Redis, error) {
	suite, valkey := strings.CutSuffix(os.Getenv("TACTUS_TEST_REDIS"), "/valkey")
	cfg.Suite = suite
	if valkey {
		return servers.StartValkey(ctx, cfg)
	}
	return servers.StartRedis(ctx, cfg)
}
