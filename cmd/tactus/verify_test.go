package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay"
	"github.com/tactus-dev/tactus/relay/cloudevents"
)

// kept is a database and a Redis, and the flags that name them.
type kept struct {
	pool  *pgxpool.Pool
	redis string
	flags []string
}

func keep(t *testing.T) kept {
	t.Helper()
	database, redis := testenv.DatabaseURL(t), testenv.RedisURL(t)
	return kept{testenv.Connect(t, database), redis, []string{"--database-url", database, "--redis-url", redis}}
}

func (k kept) tactus(t *testing.T, args ...string) said {
	t.Helper()
	return tactus(t, append(args, k.flags...)...)
}

// schedules makes schedules with the given names, each with one event.
func (k kept) schedules(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, _, err := outbox.NewStore(k.pool, "", handover.Limits{}.Check).Put(t.Context(),
			domain.Definition{Name: name, CronExpression: "0 0 1 1 *", TaskName: "app.task"}); err != nil {
			t.Fatal(err)
		}
	}
}

// publish publishes the whole log to the stream, as one batch.
func (k kept) publish(t *testing.T) {
	t.Helper()
	sink := redis.NewEventSink(testenv.Client(t, k.redis), redis.EventConfig{})
	mark := relay.Mark{Epoch: "k3v9"}
	if err := sink.Begin(t.Context(), relay.Mark{}, mark); err != nil {
		t.Fatal(err)
	}
	snapshot, err := outbox.Current(t.Context(), k.pool)
	if err != nil {
		t.Fatal(err)
	}
	for row, err := range testenv.ReadLog(t.Context(), k.pool, outbox.Schedules, outbox.Nothing, snapshot) {
		if err != nil {
			t.Fatal(err)
		}
		m, err := cloudevents.Schedule(row, mark.Epoch)
		if err != nil {
			t.Fatal(err)
		}
		if mark, err = sink.Append(t.Context(), mark,
			[]relay.Entry{{ID: relay.ID{Batch: 1, Seq: mark.Last.Seq + 1}, Message: m}}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestVerifyCommand(t *testing.T) {
	t.Parallel()
	k := keep(t)
	k.schedules(t, "a", "b")
	k.publish(t)
	good := k.tactus(t, "verify", "--from", "1h")
	want := "events          2  (0 trimmed from the stream, 0 not published yet)\nstream entries  2\nschedules      " +
		" 2\nruns            0\n" +
		"due times       0  (0 more were overtaken by an edit)\nproblems        0\n"
	if good.code != exitOK || good.out != want || good.problems != "" {
		t.Errorf("%+v", good)
	}
	if err := testenv.Client(t, k.redis).XDel(t.Context(), redis.EventStream, "1-2").Err(); err != nil {
		t.Fatal(err)
	}
	bad := k.tactus(t, "verify")
	if bad.code != exitFailure || !strings.Contains(bad.out, "problems        1\n") ||
		!strings.Contains(bad.out, "event_missing") {
		t.Errorf("%+v", bad)
	}
	var report struct {
		Events        int64 `json:"events"`
		StreamEntries int64 `json:"stream_entries"`
		Schedules     int64 `json:"schedules"`
		Runs          *int64
		Problems      []struct{ Kind, Message string }
	}
	asJSON := k.tactus(t, "verify", "-o", "json")
	if err := json.Unmarshal([]byte(asJSON.out), &report); err != nil || asJSON.code != exitFailure {
		t.Fatalf("%v: %+v", err, asJSON)
	}
	if report.Events != 2 || report.StreamEntries != 1 || report.Schedules != 2 || report.Runs == nil ||
		len(report.Problems) != 1 {
		t.Errorf("%s", asJSON.out)
	}
}

func TestVerifyNeedsItsServers(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"verify": "DATABASE_URL is not set",
		"verify --database-url postgres://127.0.0.1:1/x":                                      "REDIS_URL is not set",
		"verify --database-url postgres://127.0.0.1:1/x --redis-url http://127.0.0.1":         "REDIS_URL: ",
		"verify --database-url postgres://127.0.0.1:1/x --redis-url redis://127.0.0.1 --to x": "want a time",
	} {
		if got := tactus(t, strings.Fields(args)...); got.code != exitUsage || !strings.Contains(got.problems, want) {
			t.Errorf("%s: %+v", args, got)
		}
	}
}
