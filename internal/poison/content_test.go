package poison

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/beat"
	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/deadletter"
	"github.com/tactus-dev/tactus/internal/projection"
	"github.com/tactus-dev/tactus/internal/redeliver"
	"github.com/tactus-dev/tactus/internal/replay"
	"github.com/tactus-dev/tactus/internal/room"
	"github.com/tactus-dev/tactus/internal/shadow"
	"github.com/tactus-dev/tactus/outbox"
)

// contents are values of JSON that somebody somewhere cannot read; "good" is one that everybody can. Each is sent as an
// argument, in a header, and returned as a result.
var contents = map[string]string{
	"good":                   `"plain"`,
	"U+0000":                 `"a\u0000b"`,
	"the first half":         `"cut \ud83d"`,
	"the second half":        `"\ude00 cut"`,
	"halves the wrong way":   `"\ude00\ud83d"`,
	"in the name of one":     `{"\ud83d":1,"a\u0000b":2}`,
	"no escape":              `"\\u0000 \\ud83d \\\\ \\"`,
	"an escape behind one":   `"\\\u0000\\\\\ud83d"`,
	"a whole pair":           `"\ud83d\ude00"`,
	"members of ours":        `{"stream":"s\u0000","queue":7,"time_limit_seconds":"x","ignore_result":3,"schedule_id":"\ud83d"}`,
	"text like members":      `"\"},\"stream\":\"s\",\"time_limit_seconds\":\"x\u0000"`,
	"a number beyond all":    `1e400`,
	"a number of many":       strings.Repeat("9", 4000),
	"minus nothing":          `-0.0`,
	"deep":                   strings.Repeat("[", 90) + `"\u0000"` + strings.Repeat("]", 90),
	"large":                  `"` + strings.Repeat(`\u0000\ud83d`, 8<<10) + `"`,
	"beyond the first plane": `"😀 \u007f \ufffe"`,
}

func named(name string) domain.Definition {
	return domain.Definition{
		Name: name, TaskName: "app." + strings.ReplaceAll(name, " ", "_"), Queue: queue, TimeLimitSeconds: 3600,
		Args: json.RawMessage("[" + contents[name] + "]"), Kwargs: json.RawMessage(`{"k":` + contents[name] + `}`),
		Headers: map[string]json.RawMessage{"x_content": json.RawMessage(contents[name])},
	}
}

// soon is due once, a little later.
func soon(d domain.Definition) domain.Definition {
	d.RunAt = time.Now().Add(3 * time.Second).UTC().Format(time.RFC3339Nano)
	return d
}

func TestContent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	all := len(contents)
	var ids []domain.ID
	for name := range contents {
		d := soon(named(name))
		d.ExecutionPolicy = domain.OverlapQueue
		ids = append(ids, w.put(d).ID)
	}
	stop := w.relay()
	w.beat(beat.Config{})
	w.await("all are sent", all, `select count(*) from tactus.runs where status = 'sent'`)
	w.awaitQueue("all are in the queue", all)

	w.redis.Del(t.Context(), queue) // the broker loses them
	w.redeliver(all)
	w.awaitQueue("all are in the queue again", all)
	w.await("all are known to be sent again", all, `select count(*) from tactus.runs where status = 'sent'`)

	for _, id := range ids { // another run of each waits for the first
		w.sql(`insert into tactus.runs (id, schedule_id, due_at, slot, kind, status, schedule_version, exclusive, waiting)
			select $1::uuid, $2, clock_timestamp(), $1::uuid, 'manual', 'due', 1, true, true`, outbox.NewID(), id)
	}
	w.answer()
	w.collect()
	w.await("all have succeeded", all, `select count(*) from tactus.runs where status = 'succeeded'`)
	w.await("none waits", 0, `select count(*) from tactus.runs where waiting`)
	w.awaitQueue("what waited is in the queue", 2*all)

	w.deadLetters()
	w.reads(all)
	w.replays()
	w.whole()
	for _, id := range ids {
		if err := w.store.Delete(t.Context(), id, 0); err != nil {
			t.Error(err)
		}
	}
	w.whole() // it stays in the log
	stop()
}

// redeliver finds so many runs lost, and has them handed over again.
func (w *world) redeliver(want int) {
	w.Helper()
	config, found := redeliver.Config{Sink: tasks, NewerThan: time.Hour}, []redeliver.Lost{}
	_, _, err := redeliver.Find(w.Context(), w.pool, w.redis, config, func(page []redeliver.Lost) error {
		found = append(found, page...)
		return nil
	})
	if err != nil || len(found) != want {
		w.Fatalf("%d are lost, want %d: %v", len(found), want, err)
	}
	if again, err := redeliver.Again(w.Context(), w.pool, config, &room.Room{}, found); err != nil || int(again) != want {
		w.Fatalf("%d come again, want %d: %v", again, want, err)
	}
}

// answer is what workers write for each run that was sent, with what it was given as its result.
func (w *world) answer() {
	w.Helper()
	rows, err := w.pool.Query(w.Context(), `select r.id, s.name from tactus.runs r join tactus.schedules s on s.id = r.schedule_id where r.status = 'sent'`)
	if err != nil {
		w.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id domain.ID
		var name string
		if err := rows.Scan(&id, &name); err != nil {
			w.Fatal(err)
		}
		w.result(id, contents[name])
	}
	if err := rows.Err(); err != nil {
		w.Fatal(err)
	}
}

// result is what a worker writes when a run has succeeded.
func (w *world) result(id domain.ID, value string) {
	w.Helper()
	text := fmt.Sprintf(`{"status":"SUCCESS","result":%s,"traceback":null,"children":[],"date_done":"2026-01-02T03:04:05","task_id":"%s"}`, value, id)
	if err := w.redis.Set(w.Context(), celery.ResultPrefix+id.String(), text, 0).Err(); err != nil {
		w.Fatal(err)
	}
}

// deadLetters has each content refused by the broker once.
func (w *world) deadLetters() {
	w.Helper()
	w.redis.Set(w.Context(), "refused", "no list", 0)
	for name := range contents {
		d := named(name)
		d.Name, d.Queue, d.CronExpression = "refused: "+name, "refused", "0 0 1 1 *"
		if _, err := w.store.Trigger(w.Context(), w.put(d).ID); err != nil {
			w.Fatal(err)
		}
	}
	w.await("all are set aside", len(contents), `select count(*) from tactus.deadletters`)
	w.redis.Del(w.Context(), "refused")
	letters, err := w.box.List(w.Context(), deadletter.Filter{})
	if err != nil || len(letters) != len(contents) {
		w.Fatalf("%d letters, %v", len(letters), err)
	}
	outcomes, err := w.box.Retry(w.Context(), letters)
	if err != nil {
		w.Fatal(err)
	}
	for _, o := range outcomes {
		if !o.Again {
			w.Errorf("%s: %s", o.Reference, o.Result)
		}
	}
}

// reads asks the API for every list in which they are together.
func (w *world) reads(want int) {
	w.Helper()
	var list struct {
		Schedules []struct{ ID, Name string }
		Total     int
	}
	w.get("/schedules?per_page=100", &list)
	var events struct{ Events []json.RawMessage }
	w.get("/events?limit=1000", &events)
	logged := w.count(`select count(*) from tactus.outbox where topic = 'schedule'`) // what fired once is completed, too
	if list.Total != 2*want || len(list.Schedules) != 2*want || len(events.Events) != logged || logged < 2*want {
		w.Errorf("%d of %d schedules, %d events", len(list.Schedules), list.Total, len(events.Events))
	}
	for _, s := range list.Schedules {
		var history struct {
			History []struct{ Result json.RawMessage }
		}
		w.get("/schedules/"+s.ID+"/history", &history)
		if content, ok := contents[s.Name]; ok && (len(history.History) != 2 || !hasResult(history.History[1].Result, content)) {
			w.Errorf("%s: %.300s", s.Name, history.History)
		}
	}
}

// hasResult reports whether a result is kept, or was too long to be.
func hasResult(result json.RawMessage, want string) bool {
	return string(result) == want || strings.Contains(string(result), `"truncated":true`)
}

// replays has all events in a stream of their own.
func (w *world) replays() {
	w.Helper()
	target, err := replay.Open(w.Context(), w.pool, w.redis, "tactus:replay:1", celery.Config{})
	if err != nil {
		w.Fatal(err)
	}
	plan, err := replay.Begin(w.Context(), w.pool, replay.Range{})
	if err == nil {
		err = target.Run(w.Context(), w.pool, plan, 0, nil)
	}
	n, _ := w.redis.XLen(w.Context(), "tactus:replay:1").Result()
	if want := w.count(`select count(*) from tactus.outbox where topic = 'schedule'`); err != nil || int(n) != want {
		w.Errorf("%d of %d events: %v", n, want, err)
	}
}

// whole holds that the checker and the rebuild find nothing.
func (w *world) whole() {
	w.Helper()
	if r := w.verify(); r.Found > 0 {
		w.Errorf("%+v", r)
	}
	r, err := projection.Rebuild(w.Context(), w.pool, projection.Config{Tell: func(d projection.Difference) error {
		w.Errorf("differs: %+v", d)
		return nil
	}})
	if err != nil {
		w.Errorf("%+v, %v", r, err)
	}
}

// TestContentInShadow has a beat in shadow mode record each content, and the arguments of what it can read.
func TestContentInShadow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.beat(beat.Config{Shadow: true})
	w.await("it watches", 1, `select count(*) from tactus.leases where expires_at > clock_timestamp()`) // what was due before is another's
	for name := range contents {
		w.put(soon(named(name)))
	}
	w.await("all are recorded", len(contents), `select count(*) from tactus.shadow_runs where fate = 'fire'`)
	w.sql(`insert into tactus.shadow_sent (task_id, task_name, args, kwargs, sender, sent_at) values ('1', 'app.U+0000', '', '', 'x', now())`)
	record, err := shadow.Read(t.Context(), w.pool, time.Now().Add(-time.Hour))
	if err != nil || len(record.Decisions) != len(contents) || len(record.Schedules) != len(contents) {
		t.Fatalf("%d decisions, %d schedules: %v", len(record.Decisions), len(record.Schedules), err)
	}
	for _, d := range record.Decisions {
		if want := "[" + contents[d.Name] + "]"; d.Task != named(d.Name).TaskName || d.Args != nil && string(d.Args) != want {
			t.Errorf("%s: %s %s", d.Name, d.Task, d.Args)
		}
		if known := d.Name == "good" || d.Name == "a whole pair" || d.Name == "no escape"; known && d.Args == nil {
			t.Errorf("%s: without arguments", d.Name)
		}
	}
	shadow.Compare(record, shadow.Tolerance{}, time.Now().Add(-time.Hour), time.Now())
}
