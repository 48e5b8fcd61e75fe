package beat

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// runRetention is how long the runs of these tests are kept.
const runRetention = 90 * 24 * time.Hour

// backfill requests the runs of a schedule between two instants.
func (w *world) backfill(s domain.Schedule, from, to time.Time, change ...func(*domain.BackfillRequest)) domain.ID {
	w.Helper()
	ask := domain.BackfillRequest{From: from.Format(time.RFC3339Nano), To: to.Format(time.RFC3339Nano)}
	for _, c := range change {
		c(&ask)
	}
	ctx := outbox.WithActor(w.Context(), "key:ann", "the export was wrong")
	id, _, err := w.store.Backfill(ctx, s.ID, ask, runRetention, "")
	if err != nil {
		w.Fatal(err)
	}
	return id
}

// backfilled returns the due times and states of a backfill's runs, in the order in which they were made.
func (w *world) backfilled(id domain.ID) (texts []string) {
	w.Helper()
	rows, err := w.pool.Query(w.Context(), `select to_char(due_at at time zone 'UTC', 'HH24:MI'), status from tactus.runs r
		join tactus.outbox o on o.topic = 'run' and o.aggregate_id = r.id where kind = 'backfill' and slot = $1 order by position`, id)
	if err != nil {
		w.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var at, status string
		if err := rows.Scan(&at, &status); err != nil {
			w.Fatal(err)
		}
		texts = append(texts, at+" "+status)
	}
	if err := rows.Err(); err != nil {
		w.Fatal(err)
	}
	return texts
}

// outcome returns how a backfill has ended, or its progress.
func (w *world) outcome(id domain.ID) (text string) {
	w.Helper()
	if err := w.pool.QueryRow(w.Context(), `select coalesce(outcome, 'open') || ' ' || place || '/' || total || ', ' || fired || ' fired, ' ||
		ran || ' ran, ' || skipped || ' skipped' from tactus.backfills where id = $1`, id).Scan(&text); err != nil {
		w.Fatal(err)
	}
	return text
}

// let runs a beat for a time.
func (w *world) let(b *Beat, d time.Duration) {
	w.Helper()
	for end := w.now.Add(d); w.now.Before(end); {
		w.step(b, w.now.Add(backfillEvery))
	}
}

// backfillWorld returns a world with a beat and a schedule that is due each minute, and the last full hour.
func backfillWorld(t *testing.T, members ...string) (w *world, b *Beat, s domain.Schedule, hour time.Time) {
	t.Helper()
	w = newWorld(t)
	s = w.create(minutely(strings.Join(members, "")))
	b = w.beat("a")
	return w, b, s, w.now.Truncate(time.Hour)
}

// TestBackfillRunsEachDueTimeOnce checks the runs' nominal due times, actor and reason, and how many are open at a
// time.
func TestBackfillRunsEachDueTimeOnce(t *testing.T) {
	t.Parallel()
	w, b, s, hour := backfillWorld(t)
	two := 2
	id := w.backfill(s, hour.Add(-6*time.Minute), hour.Add(-2*time.Minute), func(r *domain.BackfillRequest) { r.MaxActive = &two })
	at := func(minute int) string { return hour.Add(time.Duration(minute) * time.Minute).UTC().Format("15:04") }
	w.let(b, 2*time.Second)
	if diff := cmp.Diff([]string{at(-6) + " due", at(-5) + " due"}, w.backfilled(id)); diff != "" {
		t.Error(diff)
	}
	for range 3 {
		w.execute(`update tactus.runs set status = 'succeeded', finished_at = clock_timestamp() where slot = $1`, id)
		w.let(b, time.Second)
	}
	var want []string
	for minute := -6; minute <= -2; minute++ {
		want = append(want, at(minute)+" succeeded")
	}
	if diff := cmp.Diff(want, w.backfilled(id)); diff != "" {
		t.Error(diff)
	}
	if got := w.outcome(id); got != "completed 5/5, 5 fired, 0 ran, 0 skipped" {
		t.Error(got)
	}
	if n := w.count(`select count(*) from tactus.outbox where topic = 'backfill' and aggregate_id = $1
		and (version, type) in ((1, 'backfill.asked'), (2, 'backfill.completed'))`, id); n != 2 {
		t.Errorf("%d events say that it was asked for, and has ended", n)
	}
	if n := w.count(`select count(*) from tactus.outbox where topic = 'run' and data->>'kind' = 'backfill'
		and headers->>'actor' = 'key:ann' and headers->>'reason' = 'the export was wrong'`); n != 5 {
		t.Errorf("%d events say who asked, and why", n)
	}
}

// TestBackfillLeavesOutWhatRan checks that due times that ran or were skipped by hand are left out, and missed ones
// run.
func TestBackfillLeavesOutWhatRan(t *testing.T) {
	t.Parallel()
	for _, again := range []bool{false, true} {
		t.Run(fmt.Sprint("again ", again), func(t *testing.T) {
			t.Parallel()
			w, b, s, hour := backfillWorld(t)
			for minute, status := range map[int]string{
				-10: "succeeded", -9: "failed", -8: "missed", -7: "expired", -6: "skipped", -5: "revoked", -4: "unknown",
			} {
				w.execute(`insert into tactus.runs (id, schedule_id, due_at, kind, status, schedule_version, finished_at, reason)
					values (gen_random_uuid(), $1, $2, 'scheduled', $3, 1, now(), case when $3 = 'skipped' then $4 end)`,
					s.ID, hour.Add(time.Duration(minute)*time.Minute), status, domain.ReasonSkipped+" by ann")
			}
			w.execute(`update tactus.runs set until = due_at + case status when 'missed' then interval '1 minute' else interval '0' end
				where status in ('missed', 'skipped')`)
			w.execute(`delete from tactus.runs where status = 'expired'`) // it is in the missed range
			many := 100
			id := w.backfill(s, hour.Add(-10*time.Minute), hour.Add(-time.Minute), func(r *domain.BackfillRequest) {
				r.Again, r.Order, r.MaxActive = again, domain.NewestFirst, &many
			})
			w.let(b, time.Second)
			at := func(minutes ...int) (want []string) {
				for _, m := range minutes {
					want = append(want, hour.Add(time.Duration(m)*time.Minute).UTC().Format("15:04")+" due")
				}
				return want
			}
			want, outcome := at(-1, -2, -3, -5, -7, -8), "open 6/6, 6 fired, 3 ran, 1 skipped"
			if again {
				want, outcome = at(-1, -2, -3, -4, -5, -7, -8, -9, -10), "open 9/9, 9 fired, 0 ran, 1 skipped"
			}
			if diff := cmp.Diff(want, w.backfilled(id)); diff != "" {
				t.Error(diff)
			}
			if got := w.outcome(id); got != outcome {
				t.Error(got)
			}
			ask := domain.BackfillRequest{From: hour.Add(-10 * time.Minute).Format(time.RFC3339), To: hour.Add(-time.Minute).Format(time.RFC3339)}
			if _, plan, err := w.store.Backfill(t.Context(), s.ID, ask, runRetention, ""); domain.FaultsOf(err) == nil {
				t.Errorf("a second one would run %v: %v", plan.DueTimes, err)
			}
		})
	}
}

// TestBackfillsOfOneScheduleTakeTurns requests overlapping backfills of one schedule: they run one after another, and
// the second leaves out the due times that the first has run.
func TestBackfillsOfOneScheduleTakeTurns(t *testing.T) {
	t.Parallel()
	w, b, s, hour := backfillWorld(t)
	first := w.backfill(s, hour.Add(-5*time.Minute), hour.Add(-3*time.Minute))
	second := w.backfill(s, hour.Add(-6*time.Minute), hour.Add(-2*time.Minute))
	for range 12 {
		w.let(b, time.Second)
		if active := w.count(`select count(*) from tactus.runs where kind = 'backfill' and status = 'due'`); active > 1 {
			t.Fatalf("%d runs at a time", active)
		}
		w.execute(`update tactus.runs set status = 'succeeded', finished_at = clock_timestamp() where kind = 'backfill'`)
	}
	if got := w.outcome(first); got != "completed 3/3, 3 fired, 0 ran, 0 skipped" {
		t.Error(got)
	}
	if got := w.outcome(second); got != "completed 5/5, 2 fired, 3 ran, 0 skipped" {
		t.Error(got)
	}
}

// TestBackfillSurvivesCrashes makes beats crash, lose answers and take over repeatedly. Every due time runs once.
func TestBackfillSurvivesCrashes(t *testing.T) {
	t.Parallel()
	w, _, s, hour := backfillWorld(t)
	most := domain.MaxBackfillActive
	id := w.backfill(s, hour.Add(-10*time.Hour), hour.Add(-time.Minute), func(r *domain.BackfillRequest) { r.MaxActive = &most })
	random := rand.New(rand.NewPCG(1, 1))
	beats := []*Beat{w.beat("a"), w.beat("b")}
	for round := 0; strings.HasPrefix(w.outcome(id), "open"); round++ {
		if round > 500 {
			t.Fatal(w.outcome(id))
		}
		w.setClock(w.now.Add(backfillEvery))
		switch i := random.IntN(2); random.IntN(6) {
		case 0: // killed: another beat takes over
			w.execute(`update tactus.leases set expires_at = '-infinity'`)
			beats[i] = w.beat(fmt.Sprint("next-", round))
		case 1: // it goes on with its old state, as if the answer to a commit had been lost
			b := beats[i]
			before, beside := b.backfills.queue, b.lease
			w.step(b, w.now)
			b.backfills.queue, b.lease = append(before, openBackfill{ID: id, Schedule: s.ID, Ready: true}), beside
			b.backfills.later = map[domain.ID]int64{}
			b.backfills.at = 0
		case 2:
			w.execute(`update tactus.runs set status = 'succeeded', finished_at = clock_timestamp() where kind = 'backfill'`)
		default:
			w.step(beats[i], w.now)
		}
	}
	if got := w.outcome(id); got != "completed 600/600, 600 fired, 0 ran, 0 skipped" {
		t.Error(got)
	}
	if n := w.count(`select count(distinct due_at) from tactus.runs where slot = $1`, id); n != 600 {
		t.Errorf("%d due times have a run", n)
	}
	if n := w.count(`select count(*) from tactus.outbox where topic = 'run' and data->>'kind' = 'backfill'`); n != 600 {
		t.Errorf("%d events", n)
	}
}

// TestOwnDueTimesGoFirst checks that a backfill's run does not make a schedule whose runs must not overlap skip a due
// time of its own.
func TestOwnDueTimesGoFirst(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"skip", "queue"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			w, b, s, hour := backfillWorld(t, fmt.Sprintf(`, "execution_policy": %q`, policy))
			id := w.backfill(s, hour.Add(-5*time.Minute), hour.Add(-3*time.Minute))
			w.let(b, time.Second)
			due := hour.Add(time.Minute)
			w.step(b, due) // a due time of its own, while the backfill's run is unfinished
			if got := w.states(s); got != "due, due w" {
				t.Fatal(got)
			}
			w.execute(`update tactus.runs set status = 'succeeded', finished_at = clock_timestamp() where slot = $1`, id)
			w.let(b, 5*time.Second)
			if got := w.states(s); got != "succeeded, due w" {
				t.Fatalf("%s: the backfill goes on before the run that waits", got)
			}
			w.execute(`update tactus.runs set status = 'succeeded', waiting = false, exclusive = true, finished_at = clock_timestamp() where waiting`)
			w.let(b, 5*time.Second)
			if got := w.states(s); got != "succeeded, due, succeeded" {
				t.Error(got)
			}
		})
	}
}

// TestBackfillOfQueueWaitsForOverlappingRuns has unfinished runs that are not marked as exclusive: a backfill with the
// policy queue waits for them, too.
func TestBackfillOfQueueWaitsForOverlappingRuns(t *testing.T) {
	t.Parallel()
	w, b, s, hour := backfillWorld(t)
	id := w.backfill(s, hour.Add(-5*time.Minute), hour.Add(-3*time.Minute), func(r *domain.BackfillRequest) { r.ExecutionPolicy = "queue" })
	own, err := w.store.Trigger(t.Context(), s.ID)
	if err != nil {
		t.Fatal(err)
	}
	w.let(b, 3*time.Second)
	if got := w.backfilled(id); len(got) != 0 {
		t.Fatal(got)
	}
	w.execute(`update tactus.runs set status = 'succeeded', finished_at = clock_timestamp() where id = $1`, own)
	w.let(b, 3*time.Second)
	if got := w.backfilled(id); len(got) != 1 {
		t.Error(got)
	}
}

// TestBackfillAndItsSchedule pauses, completes, edits, invalidates or deletes the schedule of a backfill.
func TestBackfillAndItsSchedule(t *testing.T) {
	t.Parallel()
	disable := func(w *world, s domain.Schedule) {
		if _, err := w.store.SetEnabled(w.Context(), s.ID, 0, false); err != nil {
			w.Fatal(err)
		}
	}
	enable := func(w *world, s domain.Schedule) {
		if _, err := w.store.SetEnabled(w.Context(), s.ID, 0, true); err != nil {
			w.Fatal(err)
		}
	}
	for _, c := range []struct {
		name          string
		before, after func(*world, domain.Schedule)
		runs          int
		outcome       string
	}{
		{"paused before", disable, nil, 3, "open 3/3, 3 fired, 0 ran, 0 skipped"},
		{"paused after", nil, disable, 0, "open 0/3, 0 fired, 0 ran, 0 skipped"},
		{"paused after, and enabled", nil, func(w *world, s domain.Schedule) { disable(w, s); enable(w, s) }, 3, "open 3/3, 3 fired, 0 ran, 0 skipped"},
		{"another trigger", nil, func(w *world, s domain.Schedule) { w.merge(s.ID, `{"cron_expression": "0 0 1 1 *"}`) }, 3, "open 3/3, 3 fired, 0 ran, 0 skipped"},
		{"completed", func(w *world, s domain.Schedule) {
			w.execute(`update tactus.schedules set completed_at = now(), enabled = false where id = $1`, s.ID)
		}, nil, 3, "open 3/3, 3 fired, 0 ran, 0 skipped"},
		{"invalid", nil, func(w *world, s domain.Schedule) {
			if err := w.store.Invalidate(w.Context(), s.ID, s.Version, "its zone is gone"); err != nil {
				w.Fatal(err)
			}
		}, 0, "open 0/3, 0 fired, 0 ran, 0 skipped"},
		{"deleted", nil, func(w *world, s domain.Schedule) {
			if err := w.store.Delete(w.Context(), s.ID, 0); err != nil {
				w.Fatal(err)
			}
		}, 0, "cancelled 0/3, 0 fired, 0 ran, 0 skipped"},
		{"a stream", func(w *world, s domain.Schedule) { w.merge(s.ID, `{"stream": "jobs"}`) }, nil, 3, "open 3/3, 3 fired, 0 ran, 0 skipped"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w, b, s, hour := backfillWorld(t)
			many := 100
			if c.before != nil {
				c.before(w, s)
				w.setClock(w.now.Add(time.Millisecond))
			}
			id := w.backfill(s, hour.Add(-5*time.Minute), hour.Add(-3*time.Minute), func(r *domain.BackfillRequest) { r.MaxActive = &many })
			w.setClock(w.now.Add(time.Millisecond))
			if c.after != nil {
				c.after(w, s)
			}
			w.let(b, 3*time.Second)
			if got := w.backfilled(id); len(got) != c.runs {
				t.Errorf("%v", got)
			}
			if got := w.outcome(id); got != c.outcome {
				t.Error(got)
			}
		})
	}
}

// TestPoisonedBackfill has a backfill that PostgreSQL refuses each time: it fails in the end, and delays neither other
// backfills nor due times.
func TestPoisonedBackfill(t *testing.T) {
	t.Parallel()
	w, b, s, hour := backfillWorld(t)
	poisoned := w.create(`{"name": "poisoned", "cron_expression": "* * * * *", "task_name": "t"}`)
	w.execute(`create function own.poison() returns trigger language plpgsql as 'begin raise exception using errcode = ''22P02'', message = ''poison''; end';
		create trigger poison before insert on tactus.runs for each row when (new.schedule_id = '` + poisoned.ID.String() + `' and new.kind = 'backfill') execute function own.poison()`)
	bad := w.backfill(poisoned, hour.Add(-5*time.Minute), hour.Add(-3*time.Minute))
	many := 100
	good := w.backfill(s, hour.Add(-5*time.Minute), hour.Add(-3*time.Minute), func(r *domain.BackfillRequest) { r.MaxActive = &many })
	w.let(b, time.Second)
	if got := w.backfilled(good); len(got) != 3 {
		t.Errorf("%v", got)
	}
	for range 16 {
		w.step(b, w.now.Add(time.Minute))
	}
	if got := w.outcome(bad); got != "failed 0/3, 0 fired, 0 ran, 0 skipped" {
		t.Error(got)
	}
	if n := w.count(`select count(*) from tactus.runs where kind = 'scheduled' and status = 'due'`); n != 32 {
		t.Errorf("%d runs of their own", n)
	}
}

// TestSlowBackfill has a backfill that takes too long each time: it rests for ever longer, and delays nothing else.
func TestSlowBackfill(t *testing.T) {
	t.Parallel()
	w, b, s, hour := backfillWorld(t)
	heavy := w.create(`{"name": "heavy", "cron_expression": "* * * * *", "task_name": "t"}`)
	w.execute(`create function own.dawdle() returns trigger language plpgsql as 'begin perform pg_sleep(3600); return new; end';
		create trigger dawdle before insert on tactus.runs for each row when (new.schedule_id = '` + heavy.ID.String() + `' and new.kind = 'backfill') execute function own.dawdle()`)
	many := 100
	all := func(r *domain.BackfillRequest) { r.MaxActive = &many }
	slow := w.backfill(heavy, hour.Add(-5*time.Minute), hour.Add(-3*time.Minute), all)
	w.backfills(b, backfillWithin, func() bool { return b.backfills.tries[slow].slow >= 2 })
	good := w.backfill(s, hour.Add(-5*time.Minute), hour.Add(-3*time.Minute), all)
	w.backfills(b, backfillWithin, func() bool { return len(w.backfilled(good)) == 3 })
	before := b.backfills.tries[slow].failed
	for range 8 {
		w.step(b, w.now.Add(15*time.Second))
	}
	if n := b.backfills.tries[slow].failed - before; n > 5 {
		t.Errorf("it was tried %d times in two minutes", n)
	}
	if n := w.count(`select count(*) from tactus.runs where kind = 'scheduled' and status = 'due' and fired_at < due_at + interval '20 seconds'`); n < 2 {
		t.Errorf("%d runs of their own in time", n)
	}
	if got := w.outcome(slow); got != "open 0/3, 0 fired, 0 ran, 0 skipped" {
		t.Error(got)
	}
	w.execute(`drop trigger dawdle on tactus.runs`)
	w.backfills(b, partTimeout, func() bool { return len(w.backfilled(slow)) == 3 })
}

// backfills runs a beat until done returns true, with a time limit for each statement of a backfill.
func (w *world) backfills(b *Beat, within time.Duration, done func() bool) {
	w.Helper()
	b.backfills.within = within
	for range 200 {
		if done() {
			return
		}
		w.step(b, w.now.Add(backfillPause))
	}
	w.Fatal("the backfills do not go on")
}

// TestBackfillAmongManyRuns checks that a backfill reads few blocks, however many manual runs its schedule has.
func TestBackfillAmongManyRuns(t *testing.T) {
	t.Parallel()
	w, b, s, hour := backfillWorld(t)
	w.execute(`insert into tactus.runs (id, schedule_id, due_at, slot, kind, status, schedule_version, finished_at)
		select id, $1, $2::timestamptz - n * interval '20 milliseconds', id, 'manual', 'succeeded', 1, $2
		from (select n, gen_random_uuid() as id from generate_series(1, 200000) n) r`, s.ID, hour)
	w.execute(`insert into tactus.runs (id, schedule_id, due_at, until, kind, status, schedule_version, reason, finished_at)
		select gen_random_uuid(), $1, $2::timestamptz - interval '50 minutes', $2::timestamptz - interval '45 minutes', 'scheduled', 'skipped', 1, 'skipped by hand', $2`, s.ID, hour)
	for _, analyzed := range []bool{false, true} {
		if analyzed {
			w.execute(`analyze tactus.runs`)
		}
		pool, effort := testenv.CountEffort(t, testenv.Connect(t, w.direct))
		store := outbox.NewStore(pool, "", handover.Limits{}.Check)
		ask := domain.BackfillRequest{
			From: hour.Add(-55 * time.Minute).Format(time.RFC3339), To: hour.Add(-time.Minute).Format(time.RFC3339), MaxActive: new(100),
		}
		var plan domain.BackfillPlan
		var id domain.ID
		asked, _ := effort.Of(func() {
			var err error
			if id, plan, err = store.Backfill(t.Context(), s.ID, ask, runRetention, ""); err != nil {
				t.Fatal(err)
			}
		})
		if len(plan.DueTimes) != 49 || plan.LeftOut.Skipped != 6 {
			t.Errorf("%d due times, without %d that were skipped", len(plan.DueTimes), plan.LeftOut.Skipped)
		}
		own := b.pool
		b.pool = pool
		made, _ := effort.Of(func() { w.let(b, time.Second) })
		b.pool = own
		if got := w.outcome(id); got != "open 49/49, 49 fired, 0 ran, 6 skipped" {
			t.Error(got)
		}
		t.Logf("analyzed %t: %d blocks to ask, %d to make the runs", analyzed, asked, made)
		if asked > 2_500 || made > 15_000 {
			t.Errorf("analyzed %t: %d blocks to ask, %d to make the runs", analyzed, asked, made)
		}
		w.execute(`delete from tactus.runs where slot = $1`, id)
		w.execute(`update tactus.backfills set ended_at = now(), outcome = 'cancelled', due_times = '{}' where id = $1`, id)
	}
}

// TestBackfillsOfStreamsThatRest has open backfills that have made all but one of their runs for a stream, where no run
// ever finishes, and whose schedules are paused. A look for open backfills reads few of these runs.
func TestBackfillsOfStreamsThatRest(t *testing.T) {
	t.Parallel()
	w, b, _, hour := backfillWorld(t)
	const open, runs = 5, 10_000
	for n := range open {
		s := w.create(fmt.Sprintf(`{"name": "stream %d", "cron_expression": "* * * * *", "task_name": "t", "stream": "st"}`, n))
		id := w.backfill(s, hour.Add(-5*time.Minute), hour.Add(-3*time.Minute))
		if _, err := w.store.SetEnabled(t.Context(), s.ID, 0, false); err != nil {
			t.Fatal(err)
		}
		w.execute(`insert into tactus.runs (id, schedule_id, due_at, slot, kind, status, schedule_version, fired_at)
			select gen_random_uuid(), $1, $2::timestamptz - n * interval '1 second', $3, 'backfill', 'sent', 1, $2
			from generate_series(1, $4::bigint) n`, s.ID, hour, id, runs)
	}
	w.execute(`vacuum analyze tactus.runs`)
	pool, effort := testenv.CountEffort(t, testenv.Connect(t, w.direct))
	b.pool = pool
	blocks, _ := effort.Of(func() { w.let(b, time.Second) })
	t.Logf("%d blocks", blocks)
	if blocks == 0 || blocks > 10_000 {
		t.Errorf("%d blocks, for %d backfills of %d runs", blocks, open, runs)
	}
}

// TestCancelledBackfill checks that a cancelled backfill makes no further run.
func TestCancelledBackfill(t *testing.T) {
	t.Parallel()
	w, b, s, hour := backfillWorld(t)
	id := w.backfill(s, hour.Add(-5*time.Minute), hour.Add(-3*time.Minute))
	w.let(b, time.Second)
	for i, want := range []bool{true, false} {
		if cancelled, err := w.store.CancelBackfill(t.Context(), id); cancelled != want || err != nil {
			t.Errorf("%d: %v, %v", i, cancelled, err)
		}
	}
	w.execute(`update tactus.runs set status = 'succeeded', finished_at = clock_timestamp() where slot = $1`, id)
	w.let(b, 3*time.Second)
	if got := w.outcome(id); got != "cancelled 1/3, 1 fired, 0 ran, 0 skipped" {
		t.Error(got)
	}
}
