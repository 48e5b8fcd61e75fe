package redis_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay"
)

func taskSink(t testing.TB, client goredis.UniversalClient) *redis.TaskSink {
	t.Helper()
	sink, err := redis.NewTaskSink(client, "tasks")
	if err != nil {
		t.Fatal(err)
	}
	return sink
}

// tasks returns the entries of a batch. They go to a list unless their text names something else.
func tasks(number int64, payloads ...string) []relay.Entry {
	entries := make([]relay.Entry, len(payloads))
	for i, payload := range payloads {
		entries[i].ID = relay.ID{Batch: number, Seq: int64(i + 1)}
		switch {
		case payload == "":
		case strings.HasPrefix(payload, "stream"):
			entries[i].Message = redis.ToStream(text(payload), "jobs")
		default:
			entries[i].Message = redis.ToList(text(payload), "celery")
		}
	}
	return entries
}

// queue returns the messages of a list, in the order in which a worker takes them.
func queue(t testing.TB, client goredis.UniversalClient, key string) []string {
	t.Helper()
	all, err := client.LRange(t.Context(), key, 0, -1).Result()
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(all)
	return all
}

func TestTaskSinkHandsOverOnce(t *testing.T) {
	t.Parallel()
	client := testenv.Redis(t)
	sink := taskSink(t, client)
	wantMark(t, sink, relay.Mark{})
	begin(t, sink)
	entries := tasks(1, "a", "", "stream", "b", "")
	fill(t, sink, at(0, 0), entries)
	wantMark(t, sink, at(1, 5))
	if _, err := sink.Append(t.Context(), at(0, 0), entries); !isMismatch(err, at(1, 5)) {
		t.Errorf("a repeated append: %v", err)
	}
	if got := queue(t, client, "celery"); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("the queue has %v", got)
	}
	jobs, err := client.XRange(t.Context(), "jobs", "-", "+").Result()
	if err != nil || len(jobs) != 1 {
		t.Fatalf("the stream has %v, %v", jobs, err)
	}
	want := map[string]any{"_watermill_message_uuid": "m-stream", "metadata": "", "payload": "stream"}
	if diff := cmp.Diff(want, jobs[0].Values); diff != "" {
		t.Error(diff)
	}
	next := relay.Mark{Epoch: "next", Last: relay.ID{Batch: 7}}
	if err := sink.Begin(t.Context(), at(1, 4), next); !isMismatch(err, at(1, 5)) {
		t.Errorf("begun from another mark: %v", err)
	}
	if err := sink.Begin(t.Context(), at(1, 5), next); err != nil {
		t.Fatal(err)
	}
	wantMark(t, sink, next)
}

// TestTaskSinkPushesTogether hands over runs of two queues: those that follow one another in one queue are pushed by
// one command, in their order.
func TestTaskSinkPushesTogether(t *testing.T) {
	t.Parallel()
	client := testenv.Client(t, testenv.RedisServer(t, nil).URL(0))
	sink := taskSink(t, client)
	begin(t, sink)
	var want []string
	for i := range 300 {
		want = append(want, fmt.Sprint(i))
	}
	entries := tasks(1, want...)
	entries[99].Message = redis.ToList(text("other"), "slow")
	want = slices.Delete(want, 99, 100)
	fill(t, sink, at(0, 0), entries)
	wantMark(t, sink, at(1, 300))
	if got := queue(t, client, "celery"); !slices.Equal(got, want) {
		t.Errorf("the queue has %v", got)
	}
	if got := queue(t, client, "slow"); !slices.Equal(got, []string{"other"}) {
		t.Errorf("the other queue has %v", got)
	}
	const most = 5 // of three calls of the script, the first of which goes to two queues
	if n := commandCalls(client.Info(t.Context(), "commandstats").Val(), "lpush"); n > most {
		t.Errorf("%d commands have pushed 300 runs", n)
	}
}

func TestTaskSinkRefusesAnUnaddressedMessage(t *testing.T) {
	t.Parallel()
	sink := taskSink(t, testenv.Redis(t))
	begin(t, sink)
	entries := tasks(1, "a", "b", "c")
	entries[1].Message = text("nowhere")
	_, err := sink.Append(t.Context(), at(0, 0), entries)
	refused, ok := errors.AsType[*relay.Refused](err)
	if !ok || refused.ID != entries[1].ID || refused.Real != at(1, 1) {
		t.Fatalf("%+v, %v", refused, err)
	}
}

func TestTaskSinkRefusesCluster(t *testing.T) {
	t.Parallel()
	client := goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: []string{"127.0.0.1:1"}})
	defer client.Close()
	if _, err := redis.NewTaskSink(client, "tasks"); err == nil || !strings.Contains(err.Error(), "CELERY_BROKER_URL") {
		t.Errorf("a Cluster was accepted: %v", err)
	}
}

func TestEncodeRun(t *testing.T) {
	t.Parallel()
	run := domain.DueRun{
		ScheduleID: domain.ID{15: 1}, RunID: domain.ID{15: 2}, DueAt: time.Unix(1_790_000_000, 0), Kind: domain.Scheduled, ScheduleName: "report",
		Task: domain.Task{TaskName: "app.report", Args: json.RawMessage("[1]"), Kwargs: json.RawMessage("{}"), Queue: "slow"},
	}
	encode := func(r domain.DueRun) relay.Entry {
		data, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		m, err := redis.EncodeRun(outbox.Row{Aggregate: r.RunID, Version: 1, Type: domain.RunDue, Data: data, Headers: json.RawMessage(`{"traceparent":"00-trace"}`), At: r.DueAt}, epoch, celery.Config{})
		if err != nil {
			t.Fatal(err)
		}
		return relay.Entry{ID: relay.ID{Batch: 1, Seq: 1}, Message: m}
	}
	client := testenv.Redis(t)
	sink := taskSink(t, client)
	begin(t, sink)
	toQueue := encode(run)
	run.Queue, run.Stream = "", "jobs"
	toStream := encode(run)
	toStream.ID.Seq = 2
	fill(t, sink, at(0, 0), []relay.Entry{toQueue, toStream})
	if got := queue(t, client, "slow"); len(got) != 1 || !strings.Contains(got[0], `"task":"app.report"`) || !strings.Contains(got[0], `"traceparent":"00-trace"`) {
		t.Errorf("the queue has %v", got)
	}
	jobs, err := client.XRange(t.Context(), "jobs", "-", "+").Result()
	if err != nil || len(jobs) != 1 || !strings.Contains(jobs[0].Values["payload"].(string), `"type":"run.due"`) {
		t.Errorf("the stream has %v, %v", jobs, err)
	}
}
