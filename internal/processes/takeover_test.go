package processes

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// installation makes a cluster on a Redis that other installations use, too. The databases of tests are copies of one
// another, so this one gets an id of its own, as if it were no copy.
func installation(t *testing.T, redisURL string, env ...string) *Cluster {
	t.Helper()
	c := New(t, testenv.DatabaseURL(t), redisURL, env...)
	if _, err := c.Pool.Exec(t.Context(), `update tactus.installation set id = gen_random_uuid()`); err != nil {
		t.Fatal(err)
	}
	return c
}

// owns waits until the sinks of a Redis are an installation's, and starts its relay before.
func (c *Cluster) owns(client goredis.UniversalClient) *testenv.Process {
	c.Helper()
	relay := c.Start("relay")
	testenv.Eventually(c, "the sinks are its own", func() error {
		for _, mark := range []string{"{tactus:events}:sink", "tactus:sink:celery", "tactus:sink:streams"} {
			if there, err := client.HExists(c.Context(), mark, "installation").Result(); err != nil || !there {
				return fmt.Errorf("%s names nobody: %w", mark, err)
			}
		}
		return nil
	})
	return relay
}

// notReady waits until a process is not ready, for a reason that contains each of the given texts.
func notReady(t *testing.T, p *testenv.Process, want ...string) {
	t.Helper()
	testenv.Eventually(t, "it is not ready", func() error {
		status, body := Ask(t, http.MethodGet, p.URL()+"/readyz", "")
		for _, text := range want {
			if status != http.StatusServiceUnavailable || !strings.Contains(body, text) {
				return fmt.Errorf("%d %s", status, body)
			}
		}
		return nil
	})
}

// TestTwoInstallationsOnOneRedis checks that the second installation is refused with a message that says what to do,
// and tries each of the remedies.
func TestTwoInstallationsOnOneRedis(t *testing.T) {
	t.Parallel()
	url := testenv.RedisURL(t)
	client := testenv.Client(t, url)
	first, second := installation(t, url), installation(t, url)
	published := func(c *Cluster, stream string, n int64) {
		t.Helper()
		testenv.Eventually(t, "it is published",
			func() error { return above(client.XLen(t.Context(), stream).Val(), n-1) })
	}
	first.Create(`{"name":"first","cron_expression":"0 0 1 1 *","task_name":"t"}`)
	second.Create(`{"name":"second","cron_expression":"0 0 1 1 *","task_name":"t"}`)
	relay := first.owns(client)
	published(first, redis.EventStream, 1)

	refused := testenv.Program{Env: second.Env}.Start(t, "relay", "--http-addr", "127.0.0.1:0")
	for _, sink := range []string{"tactus:events", "tactus:sink:celery", "tactus:sink:streams"} {
		notReady(t, refused, sink+" belongs to another installation", "TACTUS_KEY_PREFIX", "--take-over")
	}
	deaf := testenv.Program{Env: second.Env}.Start(t, "beat", "--beat-name", "one", "--http-addr", "127.0.0.1:0")
	notReady(t, deaf, "tactus:events belongs to another installation")
	first.Create(`{"name":"more","cron_expression":"0 0 1 1 *","task_name":"t"}`)
	published(first, redis.EventStream, 2)
	if n := client.XLen(t.Context(), redis.EventStream).Val(); n != 2 {
		t.Errorf("the stream has %d entries, want those of the first alone", n)
	}
	if groups, err := client.XInfoGroups(t.Context(), redis.EventStream).Result(); err != nil || len(groups) != 0 {
		t.Errorf("the second hears the first: %v, %v", groups, err)
	}
	if code := deaf.Stop(); code != exitOK {
		t.Error(deaf.Log())
	}

	beside := second.Start("relay", "TACTUS_KEY_PREFIX=second:")
	second.Start("beat", "TACTUS_KEY_PREFIX=second:", "TACTUS_BEAT_NAME=one")
	published(second, "second:"+redis.EventStream, 1)
	if code := beside.Stop(); code != exitOK {
		t.Error(beside.Log())
	}

	if code := relay.Stop(); code != exitOK {
		t.Error(relay.Log())
	}
	got := testenv.Run(t, "relay", "--take-over", "--database-url", second.URL, "--redis-url", url)
	if got.Code != exitOK || strings.Count(got.Out, "is this installation's now") != 3 {
		t.Errorf("%+v", got)
	}
	refused.AwaitReady()
	published(second, redis.EventStream, 4) // with what the epoch announces
	late := testenv.Program{Env: first.Env}.Start(t, "relay", "--http-addr", "127.0.0.1:0")
	notReady(t, late, "tactus:events belongs to another installation")
	if got := testenv.Run(t, "relay", "--take-over"); got.Code != exitUsage {
		t.Errorf("without a database: %+v", got)
	}
}

// TestRefusedWhenRedisIsEmptied has an installation that was refused, and then a Redis that has lost everything while
// only this installation runs. It does not take the sinks, not even after a restart, and the other installation goes on
// with them.
func TestRefusedWhenRedisIsEmptied(t *testing.T) {
	t.Parallel()
	url := testenv.RedisURL(t)
	client := testenv.Client(t, url)
	first, second := installation(t, url), installation(t, url)
	first.Create(`{"name":"first","cron_expression":"0 0 1 1 *","task_name":"t"}`)
	owner := first.owns(client)
	sinks := []string{"tactus:events", "tactus:sink:celery", "tactus:sink:streams"}
	refused := testenv.Program{Env: second.Env}.Start(t, "relay", "--http-addr", "127.0.0.1:0")
	for _, sink := range sinks {
		notReady(t, refused, sink+" belongs to another installation")
	}
	deaf := testenv.Program{Env: second.Env}.Start(t, "beat", "--beat-name", "one", "--http-addr", "127.0.0.1:0")
	notReady(t, deaf, "tactus:events belongs to another installation")
	if code := owner.Stop(); code != exitOK {
		t.Error(owner.Log())
	}
	if err := client.FlushDB(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	for _, sink := range sinks {
		notReady(t, refused, sink+" is empty now, and belonged to another installation", "--take-over")
	}
	notReady(t, deaf, "tactus:events is empty now, and belonged to another installation")
	if groups, err := client.Exists(t.Context(), redis.EventStream).Result(); err != nil || groups != 0 {
		t.Errorf("the second's beat has made the stream: %d, %v", groups, err)
	}
	if code := deaf.Stop(); code != exitOK {
		t.Error(deaf.Log())
	}
	if code := refused.Stop(); code != exitOK {
		t.Error(refused.Log())
	}
	refused = testenv.Program{Env: second.Env}.Start(t, "relay", "--http-addr", "127.0.0.1:0")
	for _, sink := range sinks {
		notReady(t, refused, sink+" is empty now, and belonged to another installation")
	}
	first.owns(client)
	for _, sink := range sinks {
		notReady(t, refused, sink+" belongs to another installation")
	}
	beside := second.Start("relay", "TACTUS_KEY_PREFIX=second:")
	if code := beside.Stop(); code != exitOK {
		t.Error(beside.Log())
	}
	if err := client.FlushDB(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	got := testenv.Run(t, "relay", "--take-over", "--database-url", second.URL, "--redis-url", url)
	if got.Code != exitOK || strings.Count(got.Out, "is this installation's") != 3 {
		t.Errorf("%+v", got)
	}
	refused.AwaitReady()
}

// TestCopyTakesOver has a copy of a database take over the sinks from the original, which does not take them back.
func TestCopyTakesOver(t *testing.T) {
	t.Parallel()
	url := testenv.RedisURL(t)
	client := testenv.Client(t, url)
	first, second := New(t, testenv.DatabaseURL(t), url), New(t, testenv.DatabaseURL(t), url)
	first.Create(`{"name":"first","cron_expression":"0 0 1 1 *","task_name":"t"}`)
	old := first.Start("relay")
	testenv.Eventually(t, "it is published",
		func() error { return above(client.XLen(t.Context(), redis.EventStream).Val(), 0) })
	successor := second.Start("relay")
	notReady(t, old, "tactus:events was taken over by a copy of this database", "--take-over")
	second.Create(`{"name":"second","cron_expression":"0 0 1 1 *","task_name":"t"}`)
	testenv.Eventually(t, "it is published",
		func() error { return above(client.XLen(t.Context(), redis.EventStream).Val(), 2) })
	if got := testenv.Run(t, "relay", "--take-over", "--database-url", first.URL, "--redis-url", url); got.Code != exitOK {
		t.Errorf("%+v", got)
	}
	notReady(t, successor, "was taken over by a copy of this database")
	old.AwaitReady()
	testenv.Eventually(t, "the old one serves again", func() error {
		if status, body := Ask(t, http.MethodGet, old.URL()+"/readyz", ""); status != http.StatusOK {
			return errors.New(body)
		}
		return nil
	})
}
