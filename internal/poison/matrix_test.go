package poison

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/beat"
	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/deadletter"
	"github.com/tactus-dev/tactus/internal/projection"
	"github.com/tactus-dev/tactus/internal/redeliver"
	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/replay"
	"github.com/tactus-dev/tactus/internal/shadow"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// bad puts members of one kind among the good ones. Those that are made before the processes start, and those that come
// while they run, are the same.
type bad func(w *world)

// kinds are what may be wrong with a member.
var kinds = map[string]bad{
	"content": func(w *world) {
		for name := range contents {
			w.badSchedule("content "+name, func(d *domain.Definition) {
				d.Args, d.Kwargs = json.RawMessage("["+contents[name]+"]"), json.RawMessage(`{"k":`+contents[name]+`}`)
			})
		}
	},
	"size": func(w *world) {
		w.badSchedule("large", func(d *domain.Definition) { d.Kwargs = json.RawMessage(`{"k":"` + strings.Repeat("x", 250<<10) + `"}`) })
		w.badSchedule(strings.Repeat("n", 200), func(d *domain.Definition) { d.TaskName = "app." + strings.Repeat("t", 150) })
		large := w.badSchedule("large result", nil)
		w.result(w.badRun(large, "sent"), `"`+strings.Repeat("x", 2<<20)+`"`)
		failed := w.badRun(large, "sent")
		text := fmt.Sprintf(`{"status":"FAILURE","result":{"exc_type":"E","exc_message":["m"]},"traceback":%q,"task_id":"%s"}`, strings.Repeat("t\n", 1<<20), failed)
		w.redis.Set(w.Context(), celery.ResultPrefix+failed.String(), text, 0)
	},
	"name": func(w *world) {
		for _, name := range []string{"GOOD", "Good one", "*?[a-z]\\", "%s %d", "'; drop table x; --", "🙂\u200b", "$1 @id"} {
			w.badSchedule(name, func(d *domain.Definition) { d.Queue = "q:" + name })
		}
		for n, name := range []string{"", "two\nlines", "\x01\x1b[31m", strings.Repeat("é", 5000)} { // by hand
			s := w.badSchedule(fmt.Sprint("named by hand ", n), nil)
			w.sql(`update tactus.schedules set name = $2 where id = $1`, s.ID, name)
			text, err := json.Marshal(map[string]string{"name": name, "task_name": "", "cron_expression": "* * * * *"})
			if err != nil {
				w.Fatal(err)
			}
			w.sql(`update tactus.schedules set definition = $2 where id = $1`, s.ID, string(text))
		}
	},
	"row": func(w *world) {
		for n, set := range []string{
			`definition = '{"name":7,"kwargs":[]}'`, `definition = '[]', policy = 'spoiled'`, `trigger = '{}'`, `trigger = 'null', task = '"x"'`,
			`trigger = '{"cron_expression":"99 99 * * *","timezone":"Nowhere/No"}'`, `task = '{"kwargs":7}', version = 9223372036854775806`, `policy = '{"max_runs":1e9}'`,
		} {
			s := w.badSchedule(fmt.Sprint("spoiled ", n), nil)
			w.sql(`update tactus.schedules set `+set+` where id = $1`, s.ID)
		}
		w.sql(`insert into tactus.outbox (topic, aggregate_id, version, type, data, headers) values
			('schedule', gen_random_uuid(), 1, 'schedule.created', '[]', '[1]'), ('schedule', gen_random_uuid(), -5, E'two\nlines', '7', null),
			('run', gen_random_uuid(), 1, 'run.due', '"x"', null), ('run', gen_random_uuid(), 1, 'run.due', '{"run_id":7,"task_name":[]}', '7')`)
	},
	"time": func(w *world) {
		for _, at := range []string{"infinity", "-infinity", "10000-01-01", "4000-01-01 BC"} {
			s := w.badSchedule("at "+at, nil)
			run := w.badRun(s, "sent")
			w.sql(`update tactus.schedules set created_at = $2::text::timestamptz, updated_at = $2::text::timestamptz, effective_from = $2::text::timestamptz, trigger_set_at = $2::text::timestamptz where id = $1`, s.ID, at)
			w.sql(`update tactus.runs set fired_at = $2::text::timestamptz, sent_at = $2::text::timestamptz, heard_at = $2::text::timestamptz, expires_at = $2::text::timestamptz where id = $1`, run, at)
			w.sql(`insert into tactus.outbox (topic, aggregate_id, version, type, data, occurred_at) values
				('schedule', gen_random_uuid(), 1, 'schedule.created', '{}', $1::text::timestamptz), ('run', gen_random_uuid(), 1, 'run.due', '{}', $1::text::timestamptz)`, at)
		}
	},
	"key type": func(w *world) {
		for n, make := range []func(key string) error{
			func(key string) error { return w.redis.Set(w.Context(), key, "x", 0).Err() },
			func(key string) error { return w.redis.HSet(w.Context(), key, "x", "x").Err() },
			func(key string) error { return w.redis.SAdd(w.Context(), key, "x").Err() },
		} {
			for _, to := range []string{"queue", "stream", "result"} {
				key := fmt.Sprintf("jobs:%s-%d", to, n)
				s := w.badSchedule("to "+key, func(d *domain.Definition) {
					if d.Queue = key; to == "stream" {
						d.Queue, d.Stream = "", key
					}
				})
				if to == "result" {
					key = celery.ResultPrefix + w.badRun(s, "sent").String()
				}
				if err := make(key); err != nil {
					w.Fatal(err)
				}
			}
		}
	},
	"right": func(w *world) {
		w.badSchedule("denied queue", func(d *domain.Definition) { d.Queue = "denied" })
		w.badSchedule("denied stream", func(d *domain.Definition) { d.Queue, d.Stream = "", "jobs:denied" })
	},
	"channel": func(w *world) {
		if err := w.admin.Do(w.Context(), "acl", "setuser", "tactus", "resetchannels").Err(); err != nil {
			w.Fatal(err)
		}
	},
	"calendar": badCalendars,
	"backfill": badBackfills,
	"hand":     badByHand,
	"lock": func(w *world) {
		for _, table := range []string{"schedules where id", "runs where schedule_id", "schedule_counts where schedule_id"} {
			s := w.badSchedule("locked "+table, func(d *domain.Definition) { d.MaxRuns, d.ExecutionPolicy = 100, domain.OverlapQueue })
			w.badRun(s, "sent")
			w.sql(`insert into tactus.schedule_counts (schedule_id, trigger_set_at, fired) select id, trigger_set_at, 0 from tactus.schedules where id = $1 on conflict do nothing`, s.ID)
			w.lock(`select from tactus.`+table+` = $1 for update`, s.ID)
		}
	},
}

// cannotBe says of cells why they are not tried here: there is no such thing, or it is shown elsewhere.
var cannotBe = map[string]string{
	"adopted tables, all kinds":      "a row is read by itself, and shown in internal/adopt: attack_test.go, rows_test.go, storm_test.go",
	"import, all kinds":              "entries are read one by one into a plan that is shown before: internal/importer",
	"routes, all kinds":              "a route concerns the tasks that its pattern names: outbox, route_test.go",
	"prune of the log, all kinds":    "partitions are dropped whole, whatever is in them: outbox, partition_test.go; relay, prune_test.go",
	"dead letters, lock":             "internal/deadletter, TestLockedLetterIsSkipped",
	"the beat's set-aside, lock":     "beat, TestSetAsideWaitsForNoLock",
	"collect, right":                 "which keys of results are denied: internal/results, TestDeniedKeyHoldsUpNoResult",
	"set aside, lock":                "relay, TestLockedRunIsSetAside",
	"collect, lock":                  "internal/results, TestLockedRunHoldsUpNoAnswer, TestLockedRunHoldsUpNoSweep, TestLockedCountHoldsUpNoRelease",
	"shadow, key type":               "its record is in Postgres, and channels have no type",
	"all of Postgres, column rights": "they hold for a whole table of ours, not for one row: migrations, rights_test.go, roles_test.go",
	"the lease, lock":                "it is no member of anything, and shown in beat: TestLockedLease",
	"notices, content and size":      "a notice has an id and a version only",
}

// badSchedule makes a schedule that is due in every second.
func (w *world) badSchedule(name string, with func(*domain.Definition)) domain.Schedule {
	w.Helper()
	d := domain.Definition{Name: name, TaskName: "app.bad", CronExpression: "* * * * * *", CronSeconds: true, Queue: "bad"}
	if with != nil {
		with(&d)
	}
	return w.put(d)
}

// badRun is a run of a schedule, open, and due when nothing else is.
func (w *world) badRun(s domain.Schedule, status string) domain.ID {
	w.Helper()
	id := outbox.NewID()
	w.sql(`insert into tactus.runs (id, schedule_id, due_at, slot, kind, status, schedule_version, sent_at)
		select $1::uuid, $2, clock_timestamp(), $1::uuid, 'manual', $3, 1, clock_timestamp()`, id, s.ID, status)
	return id
}

// lock holds rows until the test ends.
func (w *world) lock(sql string, args ...any) {
	w.Helper()
	conn, err := pgx.ConnectConfig(w.Context(), w.pool.Config().ConnConfig)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = conn.Close(context.WithoutCancel(w.Context())) })
	if _, err := conn.Exec(w.Context(), "begin"); err != nil {
		w.Fatal(err)
	}
	if tag, err := conn.Exec(w.Context(), sql, append([]any{pgx.QueryExecModeExec}, args...)...); err != nil || tag.RowsAffected() == 0 {
		w.Fatalf("%s: %s, %v", sql, tag, err)
	}
}

// good are the members that must go on.
type good struct {
	*world
	timed, stream, queued domain.Schedule

	stop func() // ends the beat that fires
}

// place is where rows, keys or messages of several are read or written together.
type place struct {
	name string
	ask  func(g *good)
}

// places are where rows, keys or messages of several are read or written together. Each asks whether the good ones go
// on there.
var places = []place{
	{"beat: load, sync, fire", func(g *good) { g.awaitFired("good") }},
	{"beat: an edit is heard", func(g *good) {
		edited, err := g.store.Merge(g.Context(), g.timed.ID, 0, []byte(`{"description":"edited","task_name":"app.edited"}`))
		if err != nil {
			g.Error(err)
		}
		g.await("it fires as edited", 1, `select least(count(*), 1) from tactus.runs where schedule_id = $1 and schedule_version = $2 and sent_at is not null`, g.timed.ID, edited.Version)
	}},
	{"beat: set aside", func(g *good) {
		s := g.badSchedule("cannot be fired", nil)
		g.sql(`update tactus.schedules set task = '[1]' where id = $1`, s.ID)
		g.await("it is set aside", 1,
			`select least(count(*), 1) from tactus.deadletters where source = 'beat' and reference like $1`, s.ID.String()+"/%")
		g.sql(`update tactus.schedules set enabled = false where id = $1`, s.ID)
	}},
	{"relay: queue", func(g *good) { g.awaitMessage("good queue", queue, g.timed.ID) }},
	{"relay: stream", func(g *good) {
		g.trigger("good stream")
		g.awaitEntry("jobs:good", g.stream.ID)
	}},
	{"relay: events", func(g *good) { g.awaitEntry(redis.EventStream, g.timed.ID) }},
	{"relay: notices", func(g *good) {
		ear := g.redis.Subscribe(g.Context(), notices)
		defer ear.Close()
		if _, err := ear.Receive(g.Context()); err != nil {
			if !strings.Contains(err.Error(), "NOPERM") {
				g.Error(err)
			}
			return // nobody may hear; the events are in the stream all the same, which the place before this asks
		}
		if _, err := g.store.Merge(g.Context(), g.stream.ID, 0, []byte(`{"description":"noticed"}`)); err != nil {
			g.Error(err)
		}
		within, cancel := context.WithTimeout(g.Context(), testenv.Patience)
		defer cancel()
		for {
			m, err := ear.ReceiveMessage(within)
			if err != nil {
				g.Errorf("no notice of it came: %v", err)
				return
			}
			if strings.Contains(m.Payload, g.stream.ID.String()) {
				return
			}
		}
	}},
	{"collect, release", func(g *good) {
		first := g.badRun(g.queued, "sent")
		g.sql(`update tactus.runs set exclusive = true where id = $1`, first)
		second := g.badRun(g.queued, "due")
		g.sql(`update tactus.runs set exclusive = true, waiting = true, sent_at = null where id = $1`, second)
		g.result(first, `1`)
		// Each schedule keeps its newest open run. Behind thousands of older ones a sweep of a slow machine, which
		// rests between pages, would not get to the newest. Another test holds some of these rows locked.
		g.sql(`update tactus.runs r set status = 'succeeded', finished_at = clock_timestamp() where (id, due_at) in (
			select id, due_at from tactus.runs o where status = 'sent' and exists (
				select from tactus.runs n where n.schedule_id = o.schedule_id and n.status = 'sent' and n.due_at > o.due_at)
			for update skip locked)`)
		g.Cleanup(func() {
			if g.Failed() {
				var rows string
				err := g.pool.QueryRow(context.WithoutCancel(g.Context()), `select json_agg(r)::text from tactus.runs r where id in ($1, $2)`, first, second).Scan(&rows)
				g.Logf("the two runs: %s %v", rows, err)
			}
		})
		g.await("the first has succeeded", 1, `select count(*) from tactus.runs where id = $1 and status = 'succeeded'`, first)
		g.await("the second is let go", 1, `select count(*) from tactus.runs where id = $1 and status = 'sent'`, second)
	}},
	{"judge", func(g *good) {
		g.sql(`select tactus.put_schedule('{"name":"good, but nowhere","task_name":"t","cron_expression":"* * * * *","timezone":"Asia/Tokio"}'::text)`)
		if _, err := g.store.Judge(g.Context()); err != nil { // the beat may have been quicker
			g.Error(err)
		}
		g.await("it is known to be invalid", 1,
			`select count(*) from tactus.schedules where name = 'good, but nowhere' and invalid_reason is not null`)
	}},
	{"redeliver", func(g *good) {
		found := false
		g.redis.Del(g.Context(), "idle") // the broker loses it
		_, _, err := redeliver.Find(g.Context(), g.pool, g.redis, redeliver.Config{Sink: tasks, NewerThan: time.Hour}, func(page []redeliver.Lost) error {
			for _, lost := range page {
				found = found || lost.Schedule == g.queued.ID
			}
			return nil
		})
		if err != nil || !found {
			g.Errorf("found %t: %v", found, err)
		}
	}},
	{"dead letters", func(g *good) {
		if _, err := g.box.List(g.Context(), deadletter.Filter{}); err != nil {
			g.Error(err)
		}
		if _, err := g.box.Count(g.Context()); err != nil {
			g.Error(err)
		}
	}},
	{"API: lists and feeds", func(g *good) {
		for _, path := range []string{"/schedules?per_page=100", "/schedules?q=good", "/schedules?invalid=false", "/schedules?task_name=app.edited", "/schedules/" + g.timed.ID.String(), "/schedules/" + g.timed.ID.String() + "/history", "/events?limit=1000"} {
			var answer json.RawMessage
			if g.get(path, &answer); !strings.Contains(string(answer), g.timed.ID.String()) {
				g.Errorf("%s: it is not there: %.300s", path, answer)
			}
		}
	}},
	{"verify", func(g *good) {
		for _, p := range g.verify().Problems { // runs without an event were made by this test
			if p.Kind != "run_without_event" && slices.Contains([]domain.ID{g.timed.ID, g.stream.ID, g.queued.ID}, p.ScheduleID) {
				g.Errorf("%+v", p)
			}
		}
	}},
	{"replay", func(g *good) {
		target, err := replay.Open(g.Context(), g.pool, g.redis, "tactus:replay:1", celery.Config{})
		if err != nil {
			g.Error(err)
			return
		}
		plan, err := replay.Begin(g.Context(), g.pool, replay.Range{})
		if err == nil {
			err = target.Run(g.Context(), g.pool, plan, 0, nil)
		}
		if err != nil {
			g.Error(err)
		}
		g.awaitEntry("tactus:replay:1", g.timed.ID)
	}},
	{"rebuild", func(g *good) {
		_, err := projection.Rebuild(g.Context(), g.pool, projection.Config{Tell: func(d projection.Difference) error {
			if strings.Contains(fmt.Sprintf("%+v", d), g.timed.ID.String()) {
				g.Errorf("%+v", d)
			}
			return nil
		}})
		if err != nil {
			g.Error(err)
		}
	}},
	{"beat: resync", func(g *good) { // as it takes the lease over
		g.stop()
		var runs int
		if err := g.pool.QueryRow(g.Context(), `select count(*) from tactus.runs where schedule_id = $1`, g.timed.ID).Scan(&runs); err != nil {
			g.Fatal(err)
		}
		defer g.beat(beat.Config{})()
		g.await("it fires on", 1, `select (count(*) > $2)::int from tactus.runs where schedule_id = $1`, g.timed.ID, runs+1)
	}},
	{"shadow", func(g *good) {
		g.stop() // none records beside it
		defer g.beatInShadow()()
		g.await("it is recorded", 1, `select least(count(*), 1) from tactus.shadow_runs where schedule_id = $1 and fate = 'fire'`, g.timed.ID)
		record, err := shadow.Read(g.Context(), g.pool, time.Now().Add(-time.Hour))
		if err != nil || !slices.ContainsFunc(record.Schedules, func(s domain.Schedule) bool { return s.ID == g.timed.ID }) {
			g.Errorf("%d schedules: %v", len(record.Schedules), err)
		}
		shadow.Compare(record, shadow.Tolerance{}, time.Now().Add(-time.Hour), time.Now())
		if err := shadow.Prune(g.Context(), g.pool, time.Now().Add(-time.Hour)); err != nil {
			g.Error(err)
		}
	}},
}

// beatInShadow runs a beat that only records.
func (w *world) beatInShadow() (stop func()) {
	w.Helper()
	return w.beat(beat.Config{Shadow: true})
}

// awaitMessage waits until a message of a schedule is in a queue.
func (g *good) awaitMessage(what, key string, id domain.ID) {
	g.Helper()
	testenv.Eventually(g, what, func() error {
		all, err := g.redis.LRange(g.Context(), key, 0, -1).Result()
		if err == nil && !strings.Contains(strings.Join(all, ""), id.String()) {
			err = fmt.Errorf("not among %d", len(all))
		}
		return err
	})
}

// awaitEntry waits until an entry about a schedule is in a stream.
func (g *good) awaitEntry(key string, id domain.ID) {
	g.Helper()
	testenv.Eventually(g, "an entry in "+key, func() error {
		all, err := g.redis.XRange(g.Context(), key, "-", "+").Result()
		if err == nil && !strings.Contains(fmt.Sprint(all), id.String()) {
			err = fmt.Errorf("not among %d", len(all))
		}
		return err
	})
}

// TestMatrix puts members of each kind among good ones, and asks in each place whether the good ones go on. What it
// does not try it prints, with the reason.
func TestMatrix(t *testing.T) {
	t.Parallel()
	for _, cell := range slices.Sorted(maps.Keys(cannotBe)) {
		t.Logf("not tried: %s: %s", cell, cannotBe[cell])
	}
	for kind, put := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := matrixWorld(t)
			put(w)
			w.relay()
			g := &good{world: w, stop: w.beat(beat.Config{})}
			w.collect()
			g.timed = w.put(domain.Definition{Name: "good", TaskName: "app.good", CronExpression: "* * * * * *", CronSeconds: true, Queue: queue})
			g.stream = w.put(domain.Definition{Name: "good stream", TaskName: "app.good", CronExpression: "0 0 1 1 *", Stream: "jobs:good"})
			g.queued = w.put(domain.Definition{Name: "good queue", TaskName: "app.good", CronExpression: "0 0 1 1 *", Queue: "idle", ExecutionPolicy: domain.OverlapQueue})
			for _, place := range slices.Concat(newestPlaces, places) {
				t.Run(place.name, func(t *testing.T) {
					within := *g.world
					within.T = t
					place.ask(&good{&within, g.timed, g.stream, g.queued, g.stop})
				})
			}
		})
	}
}

// matrixWorld has a Redis whose user is denied some keys.
func matrixWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	server := testenv.RedisServer(t, nil)
	admin := testenv.Client(t, server.URL(0))
	rules := []any{"acl", "setuser", "tactus", "on", ">x", "+@all", "&*"}
	for _, pattern := range []string{"*tactus*", "*celery*", "_kombu*", "bad", "q", "q:*", "idle", "*unacked*", "jobs:[^d]*"} {
		rules = append(rules, "~"+pattern)
	}
	if err := admin.Do(t.Context(), rules...).Err(); err != nil {
		t.Fatal(err)
	}
	address, err := url.Parse(server.URL(0))
	if err != nil {
		t.Fatal(err)
	}
	address.User = url.UserPassword("tactus", "x")
	w.admin, w.redis = admin, testenv.Client(t, address.String())
	w.box.Redis, w.box.Events = w.redis, w.events()
	return w
}
