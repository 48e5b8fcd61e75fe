package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tactus-dev/tactus/internal/servers"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestTasksRunAsTheyWereAskedFor is cases 1, 2, 6 and 7, on one worker that sends events.
func TestTasksRunAsTheyWereAskedFor(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.work()
	for name, test := range map[string]func(*stack){
		"1 kwargs arrive as they are":      kwargsArrive,
		"2 empty args and kwargs":          emptyArguments,
		"6 what self.request shows":        requestShows,
		"3 through exchanges":              throughExchanges,
		"7 succeeded":                      succeeded,
		"7 failed":                         failed,
		"7 not registered":                 notRegistered,
		"7 retried, then succeeded":        retried,
		"7 revoked":                        revoked,
		"7 ended by time limits":           timeLimits,
		"7 without a result":               ignored,
		"7 a run by hand, in a trace":      byHand,
		"8 what celery events lists":       eventsList,
		"a schedule tells how it has been": record,
	} {
		t.Run(name, func(t *testing.T) {
			one := *s
			one.T = t
			test(&one)
		})
	}
}

func kwargsArrive(s *stack) {
	const kwargs = `{"名前": "ラーメン", "emoji": "🍜", "nested": {"a": [1, 2.5, null, true, {}, []]}, "none": null, "float": -0.5, "big": 12345678901234567890, "quotes": "' \" \\ \n \u0000 <&>"}`
	r := s.ended(s.once(`"task_name": "app.echo", "kwargs": ` + kwargs + `, "args": ["é", [], 1e2]`))
	if r.Status != "succeeded" {
		s.Fatalf("%+v", r)
	}
	if want, got := decode(s, `[["é", [], 1e2], `+kwargs+`]`), decode(s, string(r.Result)); !reflect.DeepEqual(want, got) {
		s.Errorf("sent %v\narrived %v", want, got)
	}
	if !strings.Contains(string(r.Result), "12345678901234567890") { // a float would have rounded it
		s.Errorf("arrived %s", r.Result)
	}
}

func decode(s *stack, text string) (value any) {
	s.Helper()
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		s.Fatalf("%v: %s", err, text)
	}
	return value
}

func emptyArguments(s *stack) {
	for _, members := range []string{``, `, "args": [], "kwargs": {}`} {
		if r := s.ended(s.once(`"task_name": "app.echo"` + members)); r.Status != "succeeded" || string(r.Result) != `[[],{}]` && string(r.Result) != `[[], {}]` {
			s.Errorf("%+v", r)
		}
	}
}

func requestShows(s *stack) {
	id := s.once(`"name": "nightly", "task_name": "app.request", "time_limit_seconds": 300, "soft_time_limit_seconds": 200, "priority": 4,
		"ignore_result": true, "shadow": "shown", "expires_seconds": 3600, "headers": {"x_own": {"a": [1, "é"]}}`)
	r := s.ended(id)
	text, err := s.client.Get(s.Context(), "request:"+r.TaskID).Result()
	if err != nil || r.Status != "succeeded" || r.ExpiresAt == nil {
		s.Fatalf("%v, %+v", err, r)
	}
	seen := decode(s, text).(map[string]any)
	iso := func(t time.Time) string { return t.Format("2006-01-02T15:04:05.000000-07:00") }
	want := map[string]any{
		"id": r.TaskID, "root_id": r.TaskID, "correlation_id": r.TaskID, "timelimit": []any{300., 200.}, "ignore_result": true, "shadow": "shown",
		"expires": iso(*r.ExpiresAt), "delivery_info": map[string]any{"exchange": "", "routing_key": "celery", "priority": 4., "redelivered": nil},
		"periodic_task_name": "nightly", "x_own": map[string]any{"a": []any{1., "é"}}, "x-tactus-schedule-id": id,
		"x-tactus-due-at": iso(r.DueAt), "x-tactus-run-id": r.TaskID, "traceparent": nil,
	}
	if diff := cmp.Diff(want, seen); diff != "" {
		s.Errorf("want (-), got (+):\n%s", diff)
	}
}

// throughExchanges runs a periodic task with an exchange and a routing key: it runs once for each queue that the worker
// has bound by that key.
func throughExchanges(s *stack) {
	for _, c := range []struct {
		members string
		want    []string
	}{
		{`"exchange": "post", "routing_key": "mail.now"`, []string{"/archive", "/mail"}},
		{`"exchange": "post", "routing_key": "mail.now", "queue": "parcels"`, []string{"/archive", "/mail"}},
		{`"exchange": "post", "routing_key": "letter"`, []string{"/archive"}},
		{`"exchange": "post", "queue": "parcels"`, []string{"/parcels"}},
		{`"exchange": "nobody", "routing_key": "knows", "queue": "parcels"`, []string{"/parcels"}},
		{`"exchange": "everybody", "routing_key": "celery"`, []string{"everybody/celery"}},
	} {
		task := s.trigger(s.never(`"task_name": "app.where", ` + c.members))
		where := s.list("where:"+task, len(c.want))
		if slices.Sort(where); !slices.Equal(where, c.want) {
			s.Errorf("%s: the task ran from %q, want %q", c.members, where, c.want)
		}
		testenv.Eventually(s, "no message of the task is left", func() error {
			left, err := s.client.HLen(s.Context(), "unacked").Result()
			for _, queue := range []string{"celery", "mail", "archive", "parcels"} {
				left += s.client.LLen(s.Context(), queue).Val()
			}
			if err == nil && left > 0 {
				err = fmt.Errorf("%d messages", left)
			}
			return err
		})
		if n := s.client.LLen(s.Context(), "where:"+task).Val(); int(n) != len(c.want) {
			s.Errorf("%s: the task ran %d times", c.members, n)
		}
	}
	id := s.never(`"task_name": "app.where", "exchange": "nobody", "routing_key": "knows"`)
	s.trigger(id)
	if r := s.ended(id); r.Status != "failed" || !strings.Contains(r.Error, "no queue is bound to exchange nobody with routing key knows") {
		s.Errorf("%+v", r)
	}
}

func succeeded(s *stack) {
	id := s.once(`"task_name": "app.echo", "args": [5]`)
	s.ended(id)
	r := s.await(id, "the worker is told", func(r run) bool { return r.Worker != "" })
	if r.Status != "succeeded" || r.SentAt == nil || r.StartedAt == nil || r.FinishedAt == nil || r.Kind != "scheduled" || r.Error != "" {
		s.Errorf("%+v", r)
	}
	var status run
	if s.ask("GET", "/tasks/"+r.TaskID+"/status", "", &status); !reflect.DeepEqual(status, r) {
		s.Errorf("its status %+v, in the history %+v", status, r)
	}
}

func failed(s *stack) {
	r := s.ended(s.once(`"task_name": "app.fail", "args": ["bad 値"]`))
	if r.Status != "failed" || r.Error != "ValueError: bad 値" || !strings.Contains(r.Traceback, "in fail") || string(r.Result) != "null" {
		s.Errorf("%+v", r)
	}
}

func notRegistered(s *stack) {
	if r := s.ended(s.once(`"task_name": "app.nobody"`)); r.Status != "failed" || r.Error != "NotRegistered: app.nobody" {
		s.Errorf("%+v", r)
	}
}

func retried(s *stack) {
	id := s.once(`"task_name": "app.again"`)
	if r := s.await(id, "it will be tried again", func(r run) bool { return r.Status == "retrying" }); !strings.Contains(r.Error, "no file") {
		s.Errorf("%+v", r)
	}
	if r := s.ended(id); r.Status != "succeeded" || string(r.Result) != "1" || r.Error != "" || len(s.history(id)) != 1 {
		s.Errorf("%+v", r)
	}
}

// revoked terminates a running task, as celery control does.
func revoked(s *stack) {
	id := s.once(`"task_name": "app.sleep", "args": [60]`)
	r := s.await(id, "it runs", func(r run) bool { return r.Status == "started" })
	python, err := servers.CeleryPython(s.Context(), servers.Config{Log: func(text string) { s.Log(text) }})
	if err != nil {
		s.Fatal(err)
	}
	if out, err := python.Command(s.Context(), "-m", "celery", "-b", s.broker.URL(0), "control", "terminate", "SIGTERM", r.TaskID).CombinedOutput(); err != nil {
		s.Fatalf("%v: %s", err, out)
	}
	if r := s.ended(id); r.Status != "revoked" {
		s.Errorf("%+v", r)
	}
}

func timeLimits(s *stack) {
	hard, soft := s.once(`"task_name": "app.sleep", "args": [60], "time_limit_seconds": 1`), s.once(`"task_name": "app.sleep", "args": [60], "soft_time_limit_seconds": 1`)
	if r := s.ended(hard); r.Status != "failed" || !strings.HasPrefix(r.Error, "TimeLimitExceeded") {
		s.Errorf("%+v", r)
	}
	if r := s.ended(soft); r.Status != "failed" || !strings.HasPrefix(r.Error, "SoftTimeLimitExceeded") {
		s.Errorf("%+v", r)
	}
}

func ignored(s *stack) {
	if r := s.ended(s.once(`"task_name": "app.echo", "ignore_result": true`)); r.Status != "succeeded" || r.Worker == "" {
		s.Errorf("%+v", r)
	}
}

func byHand(s *stack) {
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	id := s.never(`"task_name": "app.request", "enabled": false`)
	task := s.trigger(id, "traceparent", trace)
	if r := s.ended(id); r.TaskID != task || r.Kind != "manual" || r.Status != "succeeded" {
		s.Errorf("%+v", r)
	}
	if text := s.client.Get(s.Context(), "request:"+task).Val(); !strings.Contains(text, trace) {
		s.Errorf("the task sees %s", text)
	}
}

// eventsList is case 8: what celery events shows of a task from tactus.
func eventsList(s *stack) {
	python, err := servers.CeleryPython(s.Context(), servers.Config{Log: func(text string) { s.Log(text) }})
	if err != nil {
		s.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(s.Context(), testenv.Patience) // celery events never ends
	defer cancel()
	before, err := s.listeners()
	if err != nil {
		s.Fatal(err)
	}
	cmd := python.Command(ctx, "-u", "-m", "celery", "-b", s.broker.URL(0), "events", "--dump")
	out, err := cmd.StdoutPipe()
	if err != nil {
		s.Fatal(err)
	}
	cmd.Stderr = s.Output()
	if err := cmd.Start(); err != nil {
		s.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	testenv.Eventually(s, "celery events has subscribed", func() error {
		now, err := s.listeners()
		if err == nil && now <= before {
			err = fmt.Errorf("%d connections have subscribed, as before", now)
		}
		return err
	})
	r := s.ended(s.once(`"task_name": "app.echo", "args": [1], "kwargs": {"a": "é"}`))
	var received string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		line := lines.Text()
		if !strings.Contains(line, r.TaskID) {
			continue
		}
		if strings.Contains(line, "task-received") || strings.Contains(line, "task received") {
			received = line
		}
		if strings.Contains(line, "succeeded") {
			for _, want := range []string{"app.echo", "[1]", "{'a': 'é'}", "root_id=" + r.TaskID} {
				if !strings.Contains(received, want) {
					s.Errorf("celery events does not list %s: %s", want, received)
				}
			}
			if !strings.Contains(line, "celery@") || !strings.Contains(line, "runtime=") {
				s.Errorf("celery events does not list the worker or the runtime: %s", line)
			}
			return
		}
	}
	s.Error("celery events does not list the task")
}

// listeners counts the connections to the broker that have subscribed to something. Their patterns cannot tell them
// apart: celery events has the same one as tactus' collector.
func (s *stack) listeners() (int, error) {
	text, err := s.client.Do(s.Context(), "client", "list", "type", "pubsub").Text()
	return strings.Count(text, "\n"), err // a line each
}

func record(s *stack) {
	id := s.never(`"task_name": "app.fail"`)
	s.trigger(id)
	s.ended(id)
	s.ask("PUT", "/schedules/"+id, `{"task_name": "app.echo"}`, nil)
	s.trigger(id)
	s.await(id, "the second run", func(r run) bool { return r.Status == "succeeded" })
	var got struct {
		Total  int     `json:"total_run_count"`
		Last   string  `json:"last_status"`
		Error  string  `json:"last_error"`
		Rate   float64 `json:"success_rate"`
		LastAt string  `json:"last_run_at"`
	}
	s.ask("GET", "/schedules/"+id, "", &got)
	if got.Total != 2 || got.Last != "succeeded" || !strings.HasPrefix(got.Error, "TypeError") || got.Rate != 0.5 || got.LastAt == "" {
		s.Errorf("%+v", got)
	}
}

// TestWhatWasSentBeforeAWorkerIsUp is cases 3, 4 and 5.
func TestWhatWasSentBeforeAWorkerIsUp(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	const queue = "never.declared"
	for _, priority := range []int{9, 5, 0} {
		id := s.never(fmt.Sprintf(`"task_name": "app.note", "queue": %q, "priority": %d, "args": ["priority %d"]`, queue, priority, priority))
		for range 3 {
			s.trigger(id)
		}
	}
	for _, key := range []string{queue, queue + "\x06\x163", queue + "\x06\x169"} {
		if items := s.list(key, 3); len(items) != 3 {
			t.Errorf("%q has %d messages", key, len(items))
		}
	}
	expired, lasting := s.once(`"task_name": "app.echo", "expires_seconds": 1`), s.once(`"task_name": "app.echo", "expires_seconds": 3600`)
	sent := s.await(expired, "it is handed over", func(r run) bool { return r.Status == "sent" && r.ExpiresAt != nil })
	testenv.Eventually(t, "the message has expired", func() error {
		if left := time.Until(sent.ExpiresAt.Add(time.Second)); left > 0 {
			return fmt.Errorf("%s messages are left", left)
		}
		return nil
	})
	s.work("--queues", "celery,"+queue)
	var want []string
	for _, priority := range []int{0, 5, 9} {
		want = append(want, slices.Repeat([]string{fmt.Sprint("priority ", priority)}, 3)...)
	}
	if noted := s.list("noted", 9); !slices.Equal(noted, want) {
		t.Errorf("the tasks ran in this order: %q", noted)
	}
	if r := s.ended(expired); r.Status != "expired" || r.Error != "TaskRevokedError: expired" {
		t.Errorf("expired: %+v", r)
	}
	if r := s.ended(lasting); r.Status != "succeeded" {
		t.Errorf("with a future expiry: %+v", r)
	}
}

// TestAWorkerDies is case 9. The dead worker's message is delivered to another worker, once; the beat hands over none.
func TestAWorkerDies(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.lost = 5
	worker := s.work()
	id := s.once(`"task_name": "app.hold"`)
	s.list("began", 1)
	if err := worker.Kill(); err != nil {
		t.Fatal(err)
	}
	// Workers look for lost messages when they start, and every 100 seconds. The next one is to find the message at its
	// start.
	testenv.Eventually(t, "the message counts as lost", func() error {
		unacked, err := s.client.ZRangeWithScores(t.Context(), "unacked_index", 0, -1).Result()
		if err != nil || len(unacked) != 1 {
			return fmt.Errorf("%d messages are not acknowledged: %w", len(unacked), err)
		}
		if age := float64(time.Now().Unix()) - unacked[0].Score; age < float64(s.lost+2) {
			return fmt.Errorf("the message was taken %.0f seconds ago", age)
		}
		return nil
	})
	if err := worker.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	began := s.list("began", 2)
	if err := s.client.RPush(t.Context(), "go:"+began[0], 1).Err(); err != nil {
		t.Fatal(err)
	}
	r := s.ended(id)
	if r.Status != "succeeded" || r.TaskID != began[0] || r.TaskID != began[1] {
		t.Errorf("began as %q; %+v", began, r)
	}
	if again := s.list("began", 2); len(again) != 2 || len(s.history(id)) != 1 {
		t.Errorf("began as %q; history %+v", again, s.history(id))
	}
}

// TestRedisIsAway is case 10. A schedule whose runs must not overlap is due every two seconds while Redis is away: one
// run is handed over when the broker is back, and the history names the due times that were skipped. Redis goes away in
// the pause after a run.
func TestRedisIsAway(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	worker := s.work()
	id := s.create(`"interval_seconds": 2, "task_name": "app.note", "args": ["ran"], "execution_policy": "skip"`)
	s.await(id, "it runs", func(r run) bool { return r.Status == "succeeded" })
	if err := s.broker.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	away := time.Now()
	testenv.Eventually(t, "five due times are skipped", func() error {
		skipped := 0
		for _, r := range s.history(id) {
			if r.Status == "skipped" && r.DueAt.After(away) {
				skipped++
			}
		}
		if skipped < 5 {
			return fmt.Errorf("%d due times are skipped", skipped)
		}
		return nil
	})
	var kept []run
	for _, r := range s.history(id) {
		if !r.final() {
			kept = append(kept, r)
		} else if r.Status == "skipped" && r.Reason == "" {
			t.Errorf("the run has no reason: %+v", r)
		}
	}
	if len(kept) != 1 || kept[0].Status != "due" && kept[0].Status != "sent" {
		t.Fatalf("the run that was kept for later: %+v", kept)
	}
	if err := s.broker.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "the run that was kept has succeeded", func() error {
		var r run
		err := s.try("GET", "/tasks/"+kept[0].TaskID+"/status", "", &r)
		if err == nil && r.Status != "succeeded" {
			err = fmt.Errorf("the run is %+v", r)
		}
		return err
	})
	s.await(id, "it goes on", func(r run) bool { return r.Status == "succeeded" && r.DueAt.After(kept[0].DueAt.Add(10*time.Second)) })
	s.ask("POST", "/schedules/"+id+"/disable", "", nil)
	testenv.Eventually(t, "every run ran once", func() error {
		ran := 0
		for _, r := range s.history(id) {
			switch {
			case r.Status == "succeeded":
				ran++
			case !r.final():
				return fmt.Errorf("not yet: %+v", r)
			}
		}
		noted, err := s.client.LLen(t.Context(), "noted").Result()
		if err == nil && int(noted) != ran {
			err = fmt.Errorf("%d of %d runs", noted, ran)
		}
		return err
	})
	select {
	case <-worker.Ended():
		t.Error("the worker has exited")
	default:
	}
}
