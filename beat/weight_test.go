package beat

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// heavy creates many schedules whose tasks have about a quarter of a megabyte and that are due at the same minute of
// each hour, and one schedule with a light task that is due each second.
func (w *world) heavy(many int) (light domain.Schedule) {
	w.Helper()
	w.create(fmt.Sprintf(`{"name": "heavy 0", "interval_seconds": 3600, "interval_anchor": %q, "task_name": "app.heavy", "queue": "heavy",
		"kwargs": {"k": %q}}`, w.now.Add(time.Second).UTC().Format(time.RFC3339), strings.Repeat("x", 250_000)))
	w.execute(`
insert into tactus.schedules (id, name, version, enabled, trigger, anchor, policy, effective_from, trigger_set_at,
    created_at, updated_at, category, tags, definition, task)
select gen_random_uuid(), 'heavy ' || n, 1, enabled, trigger, anchor, policy, effective_from, trigger_set_at,
    created_at, updated_at, category, tags, definition, task
from tactus.schedules, generate_series(1, $1) n where name = 'heavy 0'`, many-1)
	return w.create(`{"name": "light", "interval_seconds": 1, "task_name": "app.light"}`)
}

// statement describes what one transaction has fired, by its events.
type statement struct {
	Runs, Light, Bytes int
}

func (w *world) statements(light domain.Schedule) (all []statement) {
	w.Helper()
	rows, err := w.pool.Query(w.Context(), `
select count(*)::int, count(*) filter (where data::text like '%' || $1 || '%')::int, sum(octet_length(data::text))::int
from tactus.outbox where topic = 'run' group by xid order by min(position)`, light.ID.String())
	if err != nil {
		w.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var s statement
		if err := rows.Scan(&s.Runs, &s.Light, &s.Bytes); err != nil {
			w.Fatal(err)
		}
		all = append(all, s)
	}
	if err := rows.Err(); err != nil {
		w.Fatal(err)
	}
	return all
}

// TestWhatIsHeavyKeepsNothingFromFiring has sixty tasks of a quarter of a megabyte due at one instant, and a light one
// each second; each step takes a second. No statement copies more than a few of the heavy tasks, and a light one waits
// for at most one such statement.
func TestWhatIsHeavyKeepsNothingFromFiring(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const many = 60
	light := w.heavy(many)
	b := w.beat("a")
	b.parallel.least = leastSideBySide
	steps := 0
	for at := w.now.Add(time.Second); w.count(`select count(*) from tactus.runs r join tactus.schedules s on s.id = r.schedule_id
		where s.name like 'heavy%'`) < many; at = at.Add(time.Second) {
		if steps++; steps > 10*many {
			t.Fatalf("only %+v after %d steps", w.statements(light), steps)
		}
		w.setClock(at)
		for range 3 { // a step fires either light or heavy tasks
			if _, err := b.step(t.Context(), at.UnixMicro()); err != nil {
				t.Fatal(err)
			}
		}
	}
	all := w.statements(light)
	behind := 0
	for i, s := range all {
		if s.Bytes > 3<<20 {
			t.Errorf("statement %d copies %d bytes for %d runs", i, s.Bytes, s.Runs)
		}
		if behind++; s.Light > 0 {
			behind = 0
		}
		if behind > 3 {
			t.Errorf("at statement %d nothing light has fired for %d statements: %+v", i, behind, all)
		}
	}
	if n := w.count(`select count(*) from tactus.runs where schedule_id = $1 and status = 'due'`, light.ID); n < steps {
		t.Errorf("%d light ones have fired in %d steps: %v", n, steps, w.runs(light.ID))
	}
	if len(all) < many/8 {
		t.Errorf("%d statements: %+v", len(all), all)
	}
}

// TestHeavyTasksWaitForSinks checks that no more heavy tasks fire than may wait for a sink, while light ones go on, and
// that they go on when the sink has taken the others, or is away.
func TestHeavyTasksWaitForSinks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const many = 100
	light := w.heavy(many)
	w.execute(`
		insert into tactus.relay_sinks (sink, topic, epoch, timeline, system_identifier, confirmed_batch, confirmed_place)
			values ('celery', 'run', 'e', '1', '1', 7, 1);
		insert into tactus.relay_batches (sink, number, epoch, previous, snapshot, row_count, first_position, last_position)
			values ('celery', 7, 'e', '1:1:', '1:1:', 1, 1, 1)`)
	b := w.beat("a")
	at, away := w.now, false
	seconds := func(n int) (heavy int) {
		t.Helper()
		for range n {
			at = at.Add(time.Second)
			w.setClock(at)
			for range 3 {
				if b.backlog.heavierAt = memory.Always; !away {
					b.backlog.heavySince = localNow() // however long this takes
				}
				if _, err := b.step(t.Context(), at.UnixMicro()); err != nil {
					t.Fatal(err)
				}
			}
		}
		lights := w.count(`select count(*) from tactus.runs where schedule_id = $1 and due_at <= $2`, light.ID, at)
		if want := int(at.Sub(w.firstDue(light)) / time.Second); lights < want {
			t.Errorf("%d light ones have fired until %v, want %d", lights, at, want)
		}
		return w.count(`select count(*) from tactus.outbox where topic = 'run' and octet_length(data::text) > 100000`)
	}
	full := seconds(20)
	if bytes := full * 256 << 10; bytes < freeWeight<<10 || bytes > freeWeight<<10+3<<20 {
		t.Fatalf("%d heavy ones have fired while a sink takes nothing", full)
	}
	if n := seconds(5); n != full {
		t.Errorf("%d heavy ones fired while a sink takes nothing", n-full)
	}
	w.execute(`update tactus.relay_batches set last_position = (select max(position) from tactus.outbox where topic = 'run')`)
	taken := seconds(20)
	if taken < 2*full-8 || taken > 2*full+8 {
		t.Errorf("%d heavy ones have fired after a sink took %d", taken, full)
	}
	away, b.backlog.heavySince = true, b.backlog.heavySince.Add(-2*awayAfter)
	for name, sink := range b.backlog.sinks {
		sink.moved = sink.moved.Add(-2 * awayAfter)
		b.backlog.sinks[name] = sink
	}
	if n := seconds(1); n <= taken {
		t.Error("a sink that is away keeps heavy ones from firing")
	}
}

func (w *world) firstDue(s domain.Schedule) (first time.Time) {
	w.Helper()
	if err := w.pool.QueryRow(w.Context(), `select min(due_at) from tactus.runs where schedule_id = $1`, s.ID).Scan(&first); err != nil {
		w.Fatal(err)
	}
	return first
}

// TestWhatTakesTooLongIsLeft has a schedule of which each due time takes longer to settle than a statement may, and
// another schedule that is due at the same instants. Statements get smaller until the slow one is alone, and then all
// others fire between its attempts. The beat keeps its lease, and logs which schedule is slow.
func TestWhatTakesTooLongIsLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	slow, sound := w.create(minutely(`, "misfire_policy": "all"`)), w.create(minutely(`, "name": "sound", "misfire_policy": "all"`))
	b, a := w.beat("a"), at{slow}
	w.execute(fmt.Sprintf(`
		create function own.slow() returns trigger language plpgsql as 'begin
			if new.schedule_id = ''%s'' then perform pg_sleep(30); end if; return new; end';
		create trigger slow before insert on tactus.runs for each row execute function own.slow()`, slow.ID))
	now := a.due(1)
	for n := 0; len(w.runs(sound.ID)) < 3 || b.paces[memory.Light].size() > 1; n++ {
		if n > 60 {
			t.Fatalf("%v have fired of the other one, firings have %d", w.runs(sound.ID), b.paces[memory.Light].size())
		}
		now = now.Add(20 * time.Second)
		w.setClock(now)
		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			err := b.fire(ctx, now.UnixMicro())
			if cancel(); err == nil {
				continue
			}
			for b.lease.unanswered { // until PostgreSQL has noticed
				if err := b.renew(t.Context(), now.UnixMicro()); err != nil {
					t.Fatal(err)
				}
			}
		}
		if !b.lease.leading {
			t.Fatal("the lease is lost")
		}
	}
	if b.slow.failures.failed == 0 {
		t.Error("nothing is said of the slow schedule")
	}
	if at := b.watermark(now.UnixMicro()); at >= a.due(1).UnixMicro() {
		t.Errorf("everything is settled up to %v, it says", time.UnixMicro(at))
	}
}

// TestLeaseOutlastsAFiring compares the time limit of a firing with the duration of a lease that is renewed in time.
func TestLeaseOutlastsAFiring(t *testing.T) {
	t.Parallel()
	if fireTimeout+renewEvery >= leaseTime {
		t.Errorf("a firing of %v, begun %v after a renewal, outlasts the lease of %v", fireTimeout, renewEvery, leaseTime)
	}
}

// TestHeavyBackfillsWaitForSinks has a backfill of heavy tasks. No statement makes more of its runs than a firing
// statement would fire, and no runs are made while a sink takes nothing.
func TestHeavyBackfillsWaitForSinks(t *testing.T) {
	t.Parallel()
	w, b, s, hour := backfillWorld(t, fmt.Sprintf(`, "kwargs": {"k": %q}`, strings.Repeat("x", 250_000)))
	testenv.RunSink(t, w.pool, "celery")
	all := 100
	w.backfill(s, hour.Add(-2*time.Hour), hour.Add(-20*time.Minute), func(r *domain.BackfillRequest) { r.MaxActive = &all })
	made := func() int { return w.count(`select count(*) from tactus.outbox where topic = 'run'`) }
	let := func() {
		t.Helper()
		for range 20 {
			b.backlog.heavySince = localNow() // the sink is not away, however long this takes
			w.let(b, backfillEvery)
		}
	}
	let()
	full := made()
	if bytes := full * 250 << 10; bytes < freeWeight<<10-1<<20 || bytes > freeWeight<<10+3<<20 {
		t.Errorf("%d runs are made while a sink takes nothing", full)
	}
	testenv.SinkTakes(t, w.pool, "celery")
	let()
	if n := made(); n < 2*full-8 || n > 2*full+8 {
		t.Errorf("%d runs are made after a sink took %d", n, full)
	}
	for i, s := range w.statements(s) {
		if s.Bytes > 3<<20 {
			t.Errorf("statement %d copies %d bytes for %d runs", i, s.Bytes, s.Runs)
		}
	}
}

// TestHeavySchedulesEndInParts has schedules with heavy tasks that are due once: no statement that completes or deletes
// them writes more than a few.
func TestHeavySchedulesEndInParts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const many = 40
	at := w.now.Add(time.Second).UTC().Format(time.RFC3339)
	for n := range many {
		w.create(fmt.Sprintf(`{"name": "%d", "run_at": %q, "task_name": "t", "on_completed": "delete", "kwargs": {"k": %q}}`, n, at,
			strings.Repeat("x", 250_000)))
	}
	b := w.beat("a")
	b.cfg.CompletedRetention = time.Second
	for steps := 0; w.count(`select count(*) from tactus.runs`) < many; steps++ {
		if steps > 20*many {
			t.Fatal("they do not fire")
		}
		b.spent.notBefore = memory.Never // all of them wait to be completed together
		w.step(b, w.now.Add(time.Second))
	}
	b.spent.notBefore = 0
	for steps := 0; w.count(`select count(*) from tactus.schedules where deleted_at is not null`) < many; steps++ {
		if steps > 20*many {
			t.Fatal("they do not end")
		}
		w.step(b, w.now.Add(time.Second))
	}
	for _, of := range []string{"schedule.completed", "schedule.deleted"} {
		if n := w.count(`select count(*) from tactus.outbox where type = $1`, of); n != many {
			t.Errorf("%d events of %s", n, of)
		}
		if n := w.count(`select max(bytes)::int from (select sum(octet_length(data::text)) as bytes from tactus.outbox
			where type = $1 group by xid) s`, of); n > 3<<20 {
			t.Errorf("a statement writes %d bytes of %s", n, of)
		}
	}
}
