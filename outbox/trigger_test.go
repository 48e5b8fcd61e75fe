package outbox_test

import (
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// TestTriggerWithOtherArguments makes runs that say something otherwise than their schedule, which stays as it is. The
// members stand in the run's event, and with the run, as they were written.
func TestTriggerWithOtherArguments(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	store := outbox.NewStore(pool, "", handover.Limits{}.Check)
	d := definition("manual")
	d.Args, d.Kwargs, d.Queue, d.ExpiresSeconds = json.RawMessage(`[1]`), json.RawMessage(`{"a":1,"b":2}`), "own", 60
	s, err := store.Create(t.Context(), d, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	const odd = `{"a":"\u0000\ud83d 1e400","big":12345678901234567890}`
	for _, c := range []struct{ with, args, kwargs, queue, priority, expires string }{
		{`{}`, `[1]`, `{"a":1,"b":2}`, "own", "none", "60"},
		{`{"kwargs":` + odd + `}`, `[1]`, odd, "own", "none", "60"},
		{`{"args":[2,1.0],"queue":"other","priority":0,"expires_seconds":5}`, `[2,1.0]`, `{"a":1,"b":2}`, "other", "0", "5"},
		{`{"args":null,"kwargs":{},"queue":null,"expires_seconds":null}`, `[]`, `{}`, "none", "none", "none"},
	} {
		run, err := store.TriggerOnce(t.Context(), s.ID, outbox.Manual{With: []byte(c.with)})
		if err != nil {
			t.Fatalf("%s: %v", c.with, err)
		}
		var data, expires string
		err = pool.QueryRow(t.Context(), `select data::text, coalesce(extract(epoch from r.expires_at - r.due_at)::int::text, 'none')
			from tactus.outbox o join tactus.runs r on r.id = o.aggregate_id where r.id = $1`, run).Scan(&data, &expires)
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Args, Kwargs, Priority json.RawMessage
			Queue                  *string
			Kind                   string
		}
		if err := json.Unmarshal([]byte(data), &got); err != nil {
			t.Fatal(err)
		}
		priority, queue := "none", "none"
		if got.Priority != nil {
			priority = string(got.Priority)
		}
		if got.Queue != nil {
			queue = *got.Queue
		}
		if string(got.Args) != c.args || string(got.Kwargs) != c.kwargs || queue != c.queue || priority != c.priority ||
			expires != c.expires || got.Kind != "manual" {
			t.Errorf("%s: expires %s, %s", c.with, expires, data)
		}
		var own bool
		err = pool.QueryRow(t.Context(), `select task is not null and strpos($2, substr(task::text, 2)) > 0
			from tactus.runs where id = $1`, run, data).Scan(&own)
		if err != nil || own != (c.with != `{}`) {
			t.Errorf("%s: kept with the run: %v, %v", c.with, own, err)
		}
	}
	after, err := store.Get(t.Context(), s.ID)
	if err != nil || after.Version != 1 || string(after.Kwargs) != string(d.Kwargs) {
		t.Errorf("the schedule is %+v, %v", after, err)
	}
}

// TestTriggerRefuses has faults in what a run says, all told at once, and none of them leaves a run.
func TestTriggerRefuses(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	store := outbox.NewStore(pool, "", handover.Limits{}.Check)
	queued, err := store.Create(t.Context(), definition("queued"), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	d := definition("streamed")
	d.Queue, d.Stream = "", "events"
	streamed, err := store.Create(t.Context(), d, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		id         domain.ID
		with, want string
	}{
		{
			queued.ID, `{"args":{},"kwargs":[],"priority":256,"timezone":"UTC","name":"x"}`,
			"args_not_list kwargs_not_object priority_range unknown_field unknown_field",
		},
		{queued.ID, `{"queue":5,"expires_seconds":"soon"}`, "type_invalid type_invalid"},
		{queued.ID, `{"expires_seconds":-1,"enabled":true}`, "out_of_range unknown_field"},
		{queued.ID, `[]`, "json_invalid"},
		{queued.ID, `{"args":`, "json_invalid"},
		{streamed.ID, `{"queue":"q","priority":1,"args":{}}`, "args_not_list target_ambiguous target_ambiguous"},
	} {
		_, err := store.TriggerOnce(t.Context(), c.id, outbox.Manual{With: []byte(c.with)})
		var codes []string
		var faults domain.Faults
		if errors.As(err, &faults) {
			for _, f := range faults {
				codes = append(codes, f.Code)
			}
		}
		if got := strings.Join(sorted(codes), " "); got != c.want {
			t.Errorf("%s: %s (%v), want %s", c.with, got, err, c.want)
		}
	}
	var wrong domain.ID
	if err := pool.QueryRow(t.Context(), `select tactus.put_schedule(
		'{"name":"wrong","cron_expression":"* * * * *","timezone":"Asia/Tokio","task_name":"a"}'::text)`).Scan(&wrong); err != nil {
		t.Fatal(err)
	}
	for _, with := range []string{"", `{}`, `{"args":[1]}`} {
		_, err := store.TriggerOnce(t.Context(), wrong, outbox.Manual{With: []byte(with)})
		if !errors.Is(err, domain.ErrScheduleInvalid) || !strings.Contains(err.Error(), "timezone_unknown") || !strings.Contains(err.Error(), "correct it first") {
			t.Errorf("an invalid schedule with %q: %v", with, err)
		}
	}
	var runs int
	if err := pool.QueryRow(t.Context(), `select count(*) from tactus.runs`).Scan(&runs); err != nil || runs != 0 {
		t.Errorf("%d runs, %v", runs, err)
	}
}

// TestTriggerWhileTheScheduleChanges makes runs with arguments of their own while their schedule's other members
// change: each has those of one version, the one that it names.
func TestTriggerWhileTheScheduleChanges(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	store := outbox.NewStore(pool, "", handover.Limits{}.Check)
	s, err := store.Create(t.Context(), definition("manual"), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	const runs = 30
	done := make(chan struct{})
	var changing sync.WaitGroup
	changing.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-done:
				return
			default:
			}
			_, err := store.Merge(t.Context(), s.ID, 0, []byte(`{"headers":{"n":"`+strings.Repeat("x", n%7)+`"}}`))
			if err != nil {
				t.Error(err)
				return
			}
		}
	})
	for range runs {
		if _, err := store.TriggerOnce(t.Context(), s.ID, outbox.Manual{With: []byte(`{"args":[1]}`)}); err != nil {
			t.Error(err)
		}
	}
	close(done)
	changing.Wait()
	var right int
	err = pool.QueryRow(t.Context(), `select count(*) from tactus.runs r
		join tactus.outbox o on o.topic = 'schedule' and o.aggregate_id = r.schedule_id and o.version = r.schedule_version
		where coalesce(r.task->'headers'->>'n', '') = coalesce(o.data->'headers'->>'n', '')
			and r.task->>'args' = '[1]'`).Scan(&right)
	if err != nil || right != runs {
		t.Errorf("%d of %d runs have the task of their version, %v", right, runs, err)
	}
}
