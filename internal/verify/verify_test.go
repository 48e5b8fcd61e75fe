package verify_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/verify"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay/cloudevents"
)

func TestNothingIsWrong(t *testing.T) {
	t.Parallel()
	w := filled(t)
	w.run(t, "a")
	report := w.check(t, verify.Config{Wait: time.Second})
	if report.Found != 0 || len(report.Problems) != 0 {
		t.Errorf("%+v", report.Problems)
	}
	want := verify.Report{Events: 16, StreamEntries: 16, Schedules: 3, Runs: 1}
	if report.Events != want.Events || report.StreamEntries != want.StreamEntries || report.Schedules != want.Schedules ||
		report.Runs != want.Runs || report.Unpublished != 0 || report.Trimmed != 0 {
		t.Errorf("%+v, want %+v", report, want)
	}
}

// run fires a schedule by hand.
func (w *world) run(t *testing.T, name string) {
	t.Helper()
	s, err := outbox.GetByName(t.Context(), w.pool, name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.store.Trigger(t.Context(), s.ID); err != nil {
		t.Fatal(err)
	}
}

// TestEveryProblemIsFound spoils one thing at a time.
func TestEveryProblemIsFound(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(*testing.T, *world)
		want  []string // kinds, sorted
	}{
		"an entry is gone":         {func(t *testing.T, w *world) { w.drop(t, 2) }, []string{verify.EventMissing}},
		"the newest entry is gone": {func(t *testing.T, w *world) { w.drop(t, 15) }, []string{verify.EventMissing}},
		"a whole schedule is gone": {func(t *testing.T, w *world) { w.drop(t, 5, 6, 7, 8, 9) }, []string{verify.EventMissing}},
		"an entry comes again":     {func(t *testing.T, w *world) { w.again(t, 4) }, []string{verify.EventTwice}},
		"an old entry comes again": {func(t *testing.T, w *world) { w.again(t, 1) }, []string{verify.EventOutOfOrder, verify.EventOutOfOrder, verify.EventOutOfOrder, verify.EventTwice}},
		"two entries are swapped":  {func(t *testing.T, w *world) { w.swap(t, 1, 2) }, []string{verify.EventOutOfOrder}},
		"the last two are swapped": {func(t *testing.T, w *world) { w.swap(t, 14, 15) }, []string{verify.EventOutOfOrder}},
		"far entries are swapped":  {func(t *testing.T, w *world) { w.swap(t, 0, 4) }, []string{verify.EventOutOfOrder, verify.EventOutOfOrder, verify.EventOutOfOrder, verify.EventOutOfOrder}},
		"swapped, and one is gone": {func(t *testing.T, w *world) { w.swap(t, 1, 2); w.drop(t, 3) }, []string{verify.EventMissing, verify.EventOutOfOrder}},
		"an event Postgres does not have": {func(t *testing.T, w *world) {
			w.sql(t, `delete from tactus.outbox where version = 5 and aggregate_id = (select id from tactus.schedules where name = 'a')`)
		}, []string{verify.EventUnknown, verify.ProjectionDiffers}},
		"a foreign entry": {func(t *testing.T, w *world) {
			if err := w.redis.XAdd(t.Context(), &redis.XAddArgs{Stream: stream, Values: []string{"payload", "{}"}}).Err(); err != nil {
				t.Fatal(err)
			}
		}, []string{verify.EntryUnreadable}},
		"an event is changed": {func(t *testing.T, w *world) {
			w.sql(t, `update tactus.outbox set data = replace(data::text, 'app.task', 'app.tusk')::json where version = 2 and position < 4`)
		}, []string{verify.EventDiffers}},
		"a version is lost in the log": {func(t *testing.T, w *world) { w.sql(t, `delete from tactus.outbox where position = 2`) }, []string{verify.VersionGap}},
		"a version comes again":        {func(t *testing.T, w *world) { w.sql(t, copyEvent, 2) }, []string{verify.RelayBehind, verify.VersionTwice}},
		"an event cannot be read": {func(t *testing.T, w *world) {
			w.sql(t, `update tactus.outbox set data = '{"id":7}' where position = 2`)
		}, []string{verify.EventDiffers, verify.EventUnreadable}},
		"a row is of an older version": {func(t *testing.T, w *world) {
			w.sql(t, `update tactus.schedules set version = 4 where name = 'a'`)
		}, []string{verify.ProjectionDiffers, verify.ProjectionDiffers}},
		"the row is gone": {func(t *testing.T, w *world) { w.sql(t, `delete from tactus.schedules where name = 'a'`) }, []string{verify.ProjectionMissing}},
		"a row has no event": {func(t *testing.T, w *world) {
			w.sql(t, `update tactus.schedules set id = gen_random_uuid() where name = 'a'`)
		}, []string{verify.ProjectionMissing, verify.ProjectionUnknown}},
		"a tombstone is alive": {func(t *testing.T, w *world) {
			w.sql(t, `update tactus.schedules set deleted_at = null where name = 'c'`)
		}, []string{verify.ProjectionDiffers}},
		"two runs of a due time": {func(t *testing.T, w *world) {
			w.sql(t, `drop index tactus.runs_due`)
			w.scheduled(t, 0)
			w.scheduled(t, 0)
		}, []string{verify.RunTwice}},
		"a run in a missed range":   {func(t *testing.T, w *world) { w.missed(t, 0, 3); w.scheduled(t, 2) }, []string{verify.RunMissedToo}},
		"a missed range in another": {func(t *testing.T, w *world) { w.missed(t, 0, 3); w.missed(t, 2, 4) }, []string{verify.RunMissedToo}},
		"a run without its event":   {func(t *testing.T, w *world) { w.run(t, "a"); w.sql(t, `delete from tactus.outbox where topic = 'run'`) }, []string{verify.RunWithoutEvent}},
		"a run with two events":     {func(t *testing.T, w *world) { w.run(t, "a"); w.sql(t, copyEvent, 17) }, []string{verify.RunEventTwice}},
		"an event without its run": {func(t *testing.T, w *world) {
			w.run(t, "a")
			w.run(t, "a")
			w.sql(t, `delete from tactus.runs where due_at = (select max(due_at) from tactus.runs)`)
		}, []string{verify.RunEventUnknown}},
		"an event of a missed range": {func(t *testing.T, w *world) { w.run(t, "a"); w.sql(t, `update tactus.runs set status = 'missed'`) }, []string{verify.RunEventUnknown}},
		"a run of a backfill is gone": {func(t *testing.T, w *world) {
			w.sql(t, `insert into tactus.backfills (id, schedule_id, schedule_version, from_at, to_at, overlap, newest_first, max_active, again, due_times, total,
				place, fired, ran, skipped, excluded, actor, created_at)
				select gen_random_uuid(), id, version, now() - interval '1 hour', now(), 'allow', false, 1, false, '{}', 2, 1, 1, 0, 0, 0, 'ann', now() from tactus.schedules where name = 'a'`)
		}, []string{verify.BackfillDiffers}},
		"the relay has stopped": {func(t *testing.T, w *world) { w.change(t, "d", 2) }, []string{verify.RelayBehind}},
		"the stream is gone":    {func(t *testing.T, w *world) { w.redis.Del(t.Context(), stream) }, []string{verify.RelayBehind}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := filled(t)
			c.spoil(t, w)
			report := w.check(t, verify.Config{Wait: 100 * time.Millisecond})
			kinds := []string{}
			for _, p := range report.Problems {
				kinds = append(kinds, p.Kind)
				if p.Message == "" {
					t.Errorf("no message for %+v", p)
				}
			}
			if !slices.Equal(kinds, c.want) || report.Found != int64(len(kinds)) {
				t.Errorf("found %v, want %v: %+v", kinds, c.want, report.Problems)
			}
		})
	}
}

const copyEvent = `
insert into tactus.outbox (topic, aggregate_id, version, type, data)
select topic, aggregate_id, version, type, data from tactus.outbox where position = $1`

// TestEveryColumnIsCompared changes one column of one row at a time.
func TestEveryColumnIsCompared(t *testing.T) {
	t.Parallel()
	w := filled(t)
	spoiled := map[string]string{
		"invalid_reason": `'none'`, "managed_by": `'public.jobs'`,
		"name": `'z'`, "enabled": `not enabled`, "trigger": `replace(trigger, '*/5', '*/6')`, "anchor": `now()`,
		"policy": `replace(policy, '7', '8')`, "effective_from": `effective_from + interval '1 microsecond'`, "trigger_set_at": `now()`,
		"created_at": `now()`, "updated_at": `now()`, "deleted_at": `now()`, "category": `'other'`, "tags": `'{x}'`,
		"paused_at": `now()`, "paused_until": `now()`, "paused_by": `'x'`, "pause_reason": `'x'`, "pause_group": `'x'`,
		"skip_until": `now()`, "skipped_by": `'x'`, "skip_reason": `'x'`, "completed_at": `now()`,
		"definition": `replace(definition::text, 'app', 'opp')::json`, "task": `replace(task::text, 'app', 'opp')::json`,
	}
	var columns int
	err := w.pool.QueryRow(t.Context(), `select count(*) from information_schema.columns where table_schema = 'tactus' and table_name = 'schedules'`).Scan(&columns)
	if err != nil || columns != len(spoiled)+2 { // id and version are not compared by this
		t.Errorf("there are %d columns, %v; the test spoils %d", columns, err, len(spoiled))
	}
	for column, value := range spoiled {
		w.sql(t, `create table kept as select * from tactus.schedules`)
		w.sql(t, fmt.Sprintf(`update tactus.schedules set %s = %s where name = 'a'`, column, value))
		report := w.check(t, verify.Config{})
		if len(report.Problems) != 1 || report.Problems[0].Kind != verify.ProjectionDiffers || !strings.Contains(report.Problems[0].Message, "tactus.schedules: "+column+" is ") {
			t.Errorf("%s: %+v", column, report.Problems)
		}
		w.sql(t, `delete from tactus.schedules`)
		w.sql(t, `insert into tactus.schedules select * from kept`)
		w.sql(t, `drop table kept`)
	}
	if report := w.check(t, verify.Config{}); report.Found != 0 {
		t.Errorf("after the row was put back: %+v", report.Problems)
	}
}

// TestOtherWordsForTheSame has a row that another release has written, with its members in another order.
func TestOtherWordsForTheSame(t *testing.T) {
	t.Parallel()
	w := filled(t)
	w.sql(t, `update tactus.schedules set trigger = trigger::jsonb::text, policy = policy::jsonb::text, definition = definition::jsonb::json, task = task::jsonb::json`)
	if report := w.check(t, verify.Config{}); report.Found != 0 {
		t.Errorf("%+v", report.Problems)
	}
}

func TestTrimmedIsNotMissing(t *testing.T) {
	t.Parallel()
	w := filled(t)
	w.change(t, "d", 4)
	w.publish(t)
	for _, c := range []struct {
		at      string
		trimmed int64
	}{{"1-4", 3}, {"2-1", 16}, {"2-3", 18}} {
		if err := w.redis.XTrimMinID(t.Context(), stream, c.at).Err(); err != nil {
			t.Fatal(err)
		}
		report := w.check(t, verify.Config{Wait: time.Second})
		if report.Found != 0 || report.Trimmed != c.trimmed || report.StreamEntries != 20-c.trimmed {
			t.Errorf("after trimming before %s: %+v", c.at, report)
		}
	}
	w.redis.XDel(t.Context(), stream, "2-4")
	if report := w.check(t, verify.Config{}); report.Found != 1 {
		t.Errorf("after the newest entry of a trimmed stream was deleted: %+v", report)
	}
}

// TestEpochs publishes a new epoch after PostgreSQL went back: the older epoch has events that the log has lost.
func TestEpochs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.change(t, "a", 4)
	w.sql(t, `create table kept as select * from tactus.schedules`)
	w.change(t, "a", 1)
	w.change(t, "b", 3)
	w.publish(t)
	w.sql(t, `delete from tactus.outbox where position > 4`)
	w.sql(t, `delete from tactus.schedules`)
	w.sql(t, `insert into tactus.schedules select * from kept`)
	if report := w.check(t, verify.Config{}); report.Found != 2 {
		t.Fatalf("events that only the stream has: %+v", report.Problems)
	}
	w.epoch = "second"
	m, err := cloudevents.EpochStarted(w.epoch, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	w.redis.XAdd(t.Context(), &redis.XAddArgs{Stream: stream, ID: "1-1000", Values: []string{"payload", string(m.Payload)}})
	w.sql(t, `update tactus.relay_batches set number = 2, epoch = 'second', previous = '1:1:', snapshot = '1:1:'`)
	w.change(t, "a", 1)
	w.publish(t)
	report := w.check(t, verify.Config{Wait: time.Second})
	if report.Found != 0 || report.Events != 5 || report.StreamEntries != 13 {
		t.Errorf("%+v", report)
	}
	w.drop(t, 11)
	if report := w.check(t, verify.Config{Wait: time.Second}); report.Found != 1 || report.Problems[0].Kind != verify.EventMissing {
		t.Errorf("after an entry of the newest epoch was deleted: %+v", report)
	}
}

func TestLimit(t *testing.T) {
	t.Parallel()
	w := filled(t)
	w.drop(t, 1, 6, 11)
	if report := w.check(t, verify.Config{Limit: 2}); report.Found != 3 || len(report.Problems) != 2 {
		t.Errorf("%+v", report)
	}
}

func (w *world) entries(t *testing.T) []redis.XMessage {
	t.Helper()
	entries, err := w.redis.XRange(t.Context(), stream, "-", "+").Result()
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

// drop deletes entries from the stream.
func (w *world) drop(t *testing.T, which ...int) {
	t.Helper()
	entries := w.entries(t)
	for _, i := range which {
		if err := w.redis.XDel(t.Context(), stream, entries[i].ID).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// again appends an entry a second time.
func (w *world) again(t *testing.T, which int) {
	t.Helper()
	if err := w.redis.XAdd(t.Context(), &redis.XAddArgs{Stream: stream, ID: "1-99", Values: w.entries(t)[which].Values}).Err(); err != nil {
		t.Fatal(err)
	}
}

// swap writes the stream again with two entries exchanged.
func (w *world) swap(t *testing.T, i, j int) {
	t.Helper()
	entries := w.entries(t)
	entries[i].Values, entries[j].Values = entries[j].Values, entries[i].Values
	w.redis.Del(t.Context(), stream)
	for _, entry := range entries {
		if err := w.redis.XAdd(t.Context(), &redis.XAddArgs{Stream: stream, ID: entry.ID, Values: entry.Values}).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

const (
	insertRun = `
with run as (
    insert into tactus.runs (id, schedule_id, due_at, until, kind, status, schedule_version)
    select gen_random_uuid(), id, updated_at + $1::int * interval '5 min', updated_at + $2::int * interval '5 min', 'scheduled', $3, version
    from tactus.schedules where name = 'a' returning id, due_at, until
)
insert into tactus.outbox (topic, aggregate_id, version, type, data)
select 'run', id, 1, 'run.due', '{}' from run where until is null`
)

// scheduled inserts a run of the nth due time, or a row for a range of missed ones.
func (w *world) scheduled(t *testing.T, n int) {
	t.Helper()
	if _, err := w.pool.Exec(t.Context(), insertRun, n, nil, "due"); err != nil {
		t.Fatal(err)
	}
}

func (w *world) missed(t *testing.T, from, to int) {
	t.Helper()
	if _, err := w.pool.Exec(t.Context(), insertRun, from, to, "missed"); err != nil {
		t.Fatal(err)
	}
}

// TestOtherWriters checks schedules that SQL functions wrote, among them invalid ones and one that was invalidated
// later.
func TestOtherWriters(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, body := range []string{
		`{"name":"a","cron_expression":"*/5 * * * *","task_name":"app.task","kwargs":{"x":1.50,"ü":null},"tags":["x"],"jitter_seconds":5}`,
		`{"name":"b","interval_seconds":90,"task_name":"app.task","queue":"q","priority":3,"headers":{"h":"1"}}`,
		`{"name":"c","cron_expression":"1 2 * * *","task_name":"app.task","timezone":"Nowhere/At_All"}`,
		`{"name":"a","cron_expression":"*/7 * * * *","task_name":"app.task","enabled":false}`,
		`{"name":"d","run_at":"2099-01-01T00:00:00Z","task_name":"app.task"}`,
	} {
		w.sql(t, `select tactus.put_schedule($1::jsonb)`, body)
	}
	w.sql(t, `select tactus.delete_schedule('b')`)
	c, err := outbox.GetByName(t.Context(), w.pool, "c")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.store.Invalidate(t.Context(), c.ID, c.Version, "no such zone"); err != nil {
		t.Fatal(err)
	}
	w.publish(t)
	if report := w.check(t, verify.Config{Window: &verify.Window{From: start}}); report.Found != 0 || report.Events != 7 {
		t.Errorf("%+v", report)
	}
}

// TestTimesBeyondAllYears has times, written by hand, that no program can represent: they are differences like any
// other.
func TestTimesBeyondAllYears(t *testing.T) {
	t.Parallel()
	w := filled(t)
	if _, err := w.pool.Exec(t.Context(), `update tactus.schedules set effective_from = 'infinity', anchor = '-infinity' where name = 'a'`); err != nil {
		t.Fatal(err)
	}
	report, err := verify.Run(t.Context(), w.pool, w.redis, verify.Config{Stream: stream, Sink: sink})
	if err != nil {
		t.Fatal(err)
	}
	if report.Found != 1 || report.Problems[0].Kind != verify.ProjectionDiffers {
		t.Errorf("%+v", report)
	}
}

// TestTagsOfNoSchedule has arrays, written by hand, that are no lists of texts: they are differences like any other.
func TestTagsOfNoSchedule(t *testing.T) {
	t.Parallel()
	for _, tags := range []string{`{NULL}`, `{NULL,a}`, `{{a,b},{c,d}}`} {
		w := filled(t)
		w.sql(t, `update tactus.schedules set tags = '`+tags+`' where name = 'a'`)
		report := w.check(t, verify.Config{})
		if report.Found != 1 || !strings.Contains(report.Problems[0].Message, "tags is ") {
			t.Errorf("%s: %+v", tags, report)
		}
	}
}
