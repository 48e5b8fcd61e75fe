package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/deadletter"
	"github.com/tactus-dev/tactus/internal/processes"
	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/testenv"
)

const aside = `insert into tactus.deadletters (source, reference, reason, data) values
	('celery', '01a20eca-6249-77dd-8205-8d7042d6842a/1', E'WRONGTYPE q is\na string', '{"task_name":"app.task"}'),
	('beat', '01a20eca-6249-77dd-8205-8d7042d6842a/2026-01-01', 'bad', repeat('x', 5000)),
	('kafka', '01a20eca-6249-77dd-8205-8d7042d6842a/3', 'worse', '')`

func TestDeadletterCommand(t *testing.T) {
	t.Parallel()
	k := keep(t)
	step := func(args string, code int, want ...string) said {
		t.Helper()
		got := k.tactus(t, append([]string{"deadletter"}, strings.Fields(args)...)...)
		rest := got.out + got.problems
		for _, w := range want {
			_, after, found := strings.Cut(rest, w)
			if !found {
				t.Errorf("%s: there is no %q where it should be: %+v", args, w, got)
				return got
			}
			rest = after
		}
		if got.code != code {
			t.Errorf("%s: exit code %d, want %d: %+v", args, got.code, code, got)
		}
		return got
	}
	step("list", exitOK, "nothing is set aside\n")
	step("list -o json", exitOK, "[]\n")
	step("retry --all", exitOK, "0 put back, 0 stay\n")
	step("drop --all", exitOK, "0 dropped\n")
	if _, err := k.pool.Exec(t.Context(), aside); err != nil {
		t.Fatal(err)
	}
	entry, err := testenv.Client(t, k.redis).XAdd(t.Context(), &goredis.XAddArgs{
		Stream: redis.DeadLetters(redis.EventStream), Values: []any{
			"tactus-reason", "odd", "tactus-group", "beat:a",
			"tactus-id", "3-1", "what", "is this",
		},
	}).Result()
	if err != nil {
		t.Fatal(err)
	}
	step("list", exitOK, "ID", "SOURCE", "REFERENCE", "SET ASIDE AT", "REASON", "DATA",
		"1", "celery", "WRONGTYPE q is a string", `{"task_name":"app.task"}`, "2", "beat", strings.Repeat("x", 99)+"…",
		"3", "kafka", "worse",
		entry, "entries", "tactus:events/3-1 beat:a", "odd", `{"what":"is this"}`)
	step("list --source beat --limit 1", exitOK, "2", "beat", "bad")
	var listed []deadletter.Letter
	if err := json.Unmarshal([]byte(step("list -o json", exitOK).out), &listed); err != nil || len(listed) != 4 ||
		listed[1].Size != 5000 || len(listed[1].Data) != deadletter.MostData {
		t.Errorf("%v: %+v", err, listed)
	}

	step("retry", exitUsage, "say which")
	step("drop", exitUsage, "say which")
	step("retry 1 --all", exitUsage, "not both")
	step("drop 1 --source beat", exitUsage, "not both")
	step("list --source mail", exitUsage, `--source "mail"`)
	step("list --limit=-1", exitUsage, "--limit -1")
	step("retry --all --overlap-lease-seconds 0", exitUsage, "OVERLAP_LEASE")
	for _, id := range []string{"x", "0", "1.5", "1-", "1-2-3"} {
		step("drop "+id, exitUsage, "want an id as the list shows it")
	}
	step("drop 1 99 "+entry, exitFailure, "99: there is no such dead letter")
	step("retry 2 1-1", exitFailure, "1-1: there is no such dead letter")
	step("retry 1 2 3 "+entry, exitFailure, "stays", "no longer kept", "stays", "22P02", "stays",
		"no sink of that name", "stays", "no longer in the stream", "0 put back, 4 stay\n")
	step("retry 1 -o json", exitFailure, `"id": "1"`, `"again": false`)
	step("drop 1 "+entry, exitOK, "dropped 1: celery 01a20eca-6249-77dd-8205-8d7042d6842a/1: WRONGTYPE",
		"dropped "+entry+": entries", "2 dropped\n")
	step("drop 1", exitFailure, "1: there is no such dead letter")
	step("drop --all --source beat", exitOK, "dropped 2", "1 dropped\n")
	step("list", exitOK, "3", "kafka")
}

// TestDeadlettersAreCounted finds the dead letters in the metrics of a relay, of a beat, and of a beat that does not
// listen to Redis.
func TestDeadlettersAreCounted(t *testing.T) {
	t.Parallel()
	c := processes.New(t, testenv.DatabaseURL(t), testenv.RedisURL(t))
	if _, err := c.Pool.Exec(t.Context(), aside); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*testenv.Process{c.Start("relay"), c.Beat("one"), c.Start("beat", "TACTUS_BEAT_NAME=deaf",
		"CELERY_BEAT_REDIS_SYNC_ENABLED=false")} {
		testenv.Eventually(t, "they are counted", func() error { // left out when counting takes too long
			status, body := get(t, p.URL()+"/metrics")
			if status != http.StatusOK || !strings.Contains(body, `tactus_deadletters{source="celery"} 1`) ||
				!strings.Contains(body, `set_aside_total`) {
				return fmt.Errorf("%d %s", status, body)
			}
			return nil
		})
	}
}
