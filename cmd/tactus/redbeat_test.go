package main

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/importer"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestLabelsOfRedBeat labels URLs that mean another Redis on each host, and URLs that mean the same everywhere.
func TestLabelsOfRedBeat(t *testing.T) {
	t.Parallel()
	here := "@" + hostname()
	for url, want := range map[string]string{
		"redis://localhost":              "localhost:6379/0" + here,
		"redis://:6380/2":                "localhost:6380/2" + here,
		"redis://127.0.0.1:6379/1":       "localhost:6379/1" + here,
		"redis://[::1]:6379":             "localhost:6379/0" + here,
		"redis://0.0.0.0:6379":           "localhost:6379/0" + here,
		"redis://LOCALHOST.:6379":        "localhost:6379/0" + here,
		"redis://redis.localhost:6379":   "localhost:6379/0" + here,
		"redis://localhost.localdomain":  "localhost:6379/0" + here,
		"unix:///run/redis.sock?db=3":    "/run/redis.sock/3" + here,
		"redis://redis.example:6379/4":   "redis.example:6379/4",
		"redis://10.0.0.7":               "10.0.0.7:6379/0",
		"rediss://localhosts.example:63": "localhosts.example:63/0",
	} {
		options, err := goredis.ParseURL(url)
		if err != nil {
			t.Fatal(err)
		}
		if got := (redBeatFlags{Prefix: importer.DefaultRedBeatPrefix}).label(options); got != want {
			t.Errorf("%s: %s, want %s", url, got, want)
		}
		if got := (redBeatFlags{Prefix: "mine:"}).label(options); got != want+"@mine:" {
			t.Errorf("%s with a prefix: %s", url, got)
		}
	}
}

// TestRedBeatsOnTwoHosts imports the entries of this host's Redis, after those of another host's Redis with the same
// URL were imported. Only the user can say whether this host had another name then.
func TestRedBeatsOnTwoHosts(t *testing.T) {
	t.Parallel()
	redis := testenv.RedisURL(t)
	client := testenv.Client(t, redis)
	client.HSet(t.Context(), "redbeat:daily", "definition", `{"name": "daily", "task": "app.a", "options": {"queue": "q"},
		"schedule": {"__type__": "interval", "every": 60}}`)
	client.ZAdd(t.Context(), "redbeat::schedule", goredis.Z{Member: "redbeat:daily"})
	for _, other := range []string{
		database(client.Options()) + "@another-host",
		fmt.Sprintf("%s/%d", client.Options().Addr, client.Options().DB), // as labels were before they named the host
	} {
		url := testenv.DatabaseURL(t)
		for _, c := range []struct{ args, want string }{
			{"--source " + other, `1 new`},
			{"", `what came from ` + regexp.QuoteMeta(other) + ` is here already: give --source "` + regexp.QuoteMeta(other)},
			{"--source " + other, `0 new, 0 changed, 1 the same, 0 gone`},
			{"--source mine", `new +daily \[mine\](?s:.*)1 new, 0 changed, 0 the same, 0 gone`},
		} {
			said := tactus(t, append([]string{
				"import", "redbeat", "--prune", "--celery-timezone", "UTC", "--database-url", url,
				"--redbeat-redis-url", redis,
			}, strings.Fields(c.args)...)...)
			if text := said.out + said.problems; !regexp.MustCompile(c.want).MatchString(text) {
				t.Errorf("%s, import %s: exit %d: %s", other, c.args, said.code, text)
			}
		}
	}
}
