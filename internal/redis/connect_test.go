package redis_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// connect returns a client, made as the programs make theirs.
func connect(t testing.TB, url string) goredis.UniversalClient {
	t.Helper()
	client, err := redis.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	return client
}

func TestConnect(t *testing.T) {
	t.Parallel()
	type options struct {
		Kind, Addrs, Master, User, Password string
		DB                                  int
		TLS                                 bool
	}
	for url, want := range map[string]options{
		"redis://":                                 {"single", "localhost:6379", "", "", "", 0, false},
		"redis://ann:secret@example:1/3":           {"single", "example:1", "", "ann", "secret", 3, false},
		"redis://:secret@[::1]:1":                  {"single", "[::1]:1", "", "", "secret", 0, false},
		"rediss://example/1?ssl_cert_reqs=none":    {"single", "example:6379", "", "", "", 1, true},
		"unix://ann:secret@/run/redis.sock?db=2":   {"single", "/run/redis.sock", "", "ann", "secret", 2, false},
		"redis+sentinel://ann:secret@a:1,b/main/4": {"sentinel", "a:1,b:26379", "main", "ann", "secret", 4, false},
		"rediss+sentinel://[::1]:1/main":           {"sentinel", "[::1]:1", "main", "", "", 0, true},
		"redis+cluster://ann:secret@a:1,b:2":       {"cluster", "a:1,b:2", "", "ann", "secret", 0, false},
		"rediss+cluster://a/0":                     {"cluster", "a:6379", "", "", "", 0, true},
	} {
		var got options
		switch c := connect(t, url).(type) {
		case *goredis.ClusterClient:
			o := c.Options()
			got = options{"cluster", strings.Join(o.Addrs, ","), "", o.Username, o.Password, 0, o.TLSConfig != nil}
			if o.ClusterStateReloadInterval != time.Second {
				t.Errorf("%s: a failover would be noticed after %s only", url, o.ClusterStateReloadInterval)
			}
		case *goredis.Client:
			o := c.Options()
			got = options{"single", o.Addr, "", o.Username, o.Password, o.DB, o.TLSConfig != nil}
			if o.Addr == "FailoverClient" {
				// The client does not show its Sentinels; TestSentinelFailover connects through some.
				got.Kind, got.Addrs, got.Master = "sentinel", want.Addrs, want.Master
			}
			if o.MaxRetries != 0 {
				t.Errorf("%s: commands are retried %d times, want never", url, o.MaxRetries)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", url, diff)
		}
	}
}

func TestConnectRefuses(t *testing.T) {
	t.Parallel()
	for url, reason := range map[string]string{
		"":                                       `unknown scheme ""`,
		"localhost:6379":                         `unknown scheme "localhost"`,
		"http://example":                         `unknown scheme "http"`,
		"redis+sentinels://a/main":               `unknown scheme "redis+sentinels"`,
		"sentinel://a:1;sentinel://b:1":          "does not name the master",
		"redis+sentinel://a:1,b:2":               "does not name the master",
		"redis+sentinel://a:1,/main":             "a host is missing",
		"redis+cluster://:1":                     "a host is missing",
		"redis+cluster://a/3":                    `no database "3"`,
		"redis://example/three":                  "database number",
		"redis://example?speed=9":                "speed",
		"redis://ann:secret@exam ple":            "not a URL",
		"unix://run/redis.sock":                  "three slashes",
		"redis://example?ssl_cert_reqs=none":     "for rediss://",
		"rediss://example?ssl_cert_reqs=maybe":   "want required",
		"rediss://example?ssl_ca_certs=/nowhere": "/nowhere",
	} {
		_, err := redis.Connect(url)
		if err == nil || !strings.HasPrefix(err.Error(), "REDIS_URL: ") ||
			!strings.Contains(err.Error(), reason) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got error %v, want one that says %q without the password", url, err, reason)
		}
	}
}

func TestConnectBroker(t *testing.T) {
	t.Parallel()
	client, err := redis.ConnectBroker(testenv.RedisURL(t))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.Ping(t.Context()).Err(); err != nil {
		t.Error(err)
	}
	_, err = redis.ConnectBroker("redis+cluster://a:1")
	if err == nil || !strings.Contains(err.Error(), "CELERY_BROKER_URL") {
		t.Errorf("a Cluster: got error %v, want one that names CELERY_BROKER_URL", err)
	}
	_, err = redis.ConnectBroker("amqp://a:1")
	if err == nil || !strings.HasPrefix(err.Error(), "CELERY_BROKER_URL: ") {
		t.Errorf("RabbitMQ: got error %v, want one that names CELERY_BROKER_URL", err)
	}
}
