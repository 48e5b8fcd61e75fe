package adopt_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tactus-dev/tactus/internal/adopt"
)

// keeper is an upkeep, and what it has said.
type keeper struct {
	*adopt.Upkeep
	u        upstream
	log      *bytes.Buffer
	registry *prometheus.Registry
}

func (u upstream) keeper() keeper {
	u.Helper()
	k := keeper{u: u, log: &bytes.Buffer{}, registry: prometheus.NewRegistry()}
	k.Upkeep = adopt.NewUpkeep(u.pool, slog.New(slog.NewTextHandler(k.log, nil)))
	if err := k.Register(k.registry); err != nil {
		u.Fatal(err)
	}
	return k
}

// sweep goes on until nothing is urgent.
func (k keeper) sweep() {
	k.u.Helper()
	for {
		more, err := k.Step(k.u.Context())
		if err != nil {
			k.u.Fatal(err)
		}
		if !more {
			return
		}
	}
}

func (k keeper) says(times int, text string) {
	k.u.Helper()
	if n := strings.Count(k.log.String(), text); n != times {
		k.u.Errorf("%q was said %d times, want %d:\n%s", text, n, times, k.log)
	}
}

func (k keeper) metric(name string) float64 {
	k.u.Helper()
	families, err := k.registry.Gather()
	if err != nil {
		k.u.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue() + f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	k.u.Fatalf("there is no metric %s", name)
	return 0
}

const asMended = "corrected schedules of adopted tables"

// TestUpstreamsAtRepeatableRead has one transaction make a task for a crontab that another, which began before,
// changes.
func TestUpstreamsAtRepeatableRead(t *testing.T) {
	t.Parallel()
	u := newDjango(t)
	u.django(`
CrontabSchedule.objects.get_or_create(minute="0", hour="9", timezone="UTC")`)
	u.adopt(u.source("django_celery_beat_periodictask", adopt.DjangoCeleryBeat))
	k := u.keeper()
	for _, level := range []pgx.TxIsoLevel{pgx.RepeatableRead, pgx.Serializable, pgx.ReadCommitted} {
		u.exec(`delete from django_celery_beat_periodictask`)
		u.exec(`update django_celery_beat_crontabschedule set hour = '9'`)
		before := k.metric("tactus_adopt_mended_total")
		err := pgx.BeginTxFunc(t.Context(), u.pool, pgx.TxOptions{IsoLevel: level}, func(tx pgx.Tx) error {
			// its snapshot
			if _, err := tx.Exec(t.Context(), `select count(*) from django_celery_beat_crontabschedule`); err != nil {
				return err
			}
			u.exec(`insert into django_celery_beat_periodictask (name, task, args, kwargs, headers, one_off, enabled,
				total_run_count, date_changed, description, crontab_id)
				select 'between', 'app.a', '[]', '{}', '{}', false, true, 0, now(), '', id from django_celery_beat_crontabschedule`)
			_, err := tx.Exec(t.Context(), `update django_celery_beat_crontabschedule set hour = '10'`)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		was := u.named("between").CronExpression
		k.sweep()
		if now := u.named("between").CronExpression; now != "0 10 * * *" {
			t.Errorf("%s: it is %s after the sweep", level, now)
		}
		if mended := k.metric("tactus_adopt_mended_total") - before; (was == "0 9 * * *") != (mended == 1) ||
			(was == "0 9 * * *") != (level != pgx.ReadCommitted) {
			t.Errorf("%s: it was %s, and %v are mended", level, was, mended)
		}
	}
	k.says(2, asMended)
	if n := k.metric("tactus_adopt_failures"); n != 0 {
		t.Errorf("%v failures are left", n)
	}
}

// TestRoundsFindWhatNoTriggerSaw writes while the triggers are switched off.
func TestRoundsFindWhatNoTriggerSaw(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	u.adopt(u.seed(`(name, task_name, cron_expression) select 'n' || n, 'app.a', case n % 4 when 0 then 'bad' else '0 9 * * *' end from generate_series(1, 1200) n`))
	k := u.keeper()
	round := func() {
		for range 3 {
			k.sweep()
		}
	}
	events := u.count(`select count(*) from tactus.outbox`)
	round()
	if n := u.count(`select count(*) from tactus.outbox`); n != events || k.metric("tactus_adopt_mended_total") != 0 {
		t.Errorf("%d events, %v mended, though all is as it should be", n-events, k.metric("tactus_adopt_mended_total"))
	}
	u.exec(`alter table celery_beat_schedules disable trigger user`)
	u.exec(`update celery_beat_schedules set description = 'd' where name in ('n3', 'n4', 'n1200')`)
	u.exec(`delete from celery_beat_schedules where name = 'n5'`)
	u.exec(`insert into celery_beat_schedules (name, task_name, cron_expression) values ('more', 'a', '* * * * *')`)
	u.exec(`alter table celery_beat_schedules enable trigger user`)
	round()
	if n := k.metric("tactus_adopt_mended_total"); n != 5 {
		t.Errorf("%v are mended, want 5", n)
	}
	if n := u.count(`select count(*) from celery_beat_schedules c join tactus.schedules s using (id)
		where s.deleted_at is null and coalesce(c.description, '') = coalesce(s.definition->>'description', '')`); n != 1200 {
		t.Errorf("%d of 1200 schedules are as their rows", n)
	}
}

// TestRenamedTableIsToldOnce renames an adopted table, and does what is told.
func TestRenamedTableIsToldOnce(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	u.adopt(u.seed(fewRows))
	k := u.keeper()
	u.exec(`alter table celery_beat_schedules rename to crontabs`)
	for n := range 3 {
		u.exec(`update crontabs set description = $1::int::text`, n)
		k.sweep()
	}
	k.says(1, `level=ERROR`)
	k.says(1, `tactus unadopt`)
	if n := u.count(`select count(*) from tactus.adopt_failures`); n != 1 {
		t.Errorf("%d failures are noted", n)
	}
	old, err := adopt.FindAdopted(t.Context(), u.pool, "celery_beat_schedules", adopt.CeleryBeatSchedules)
	if err != nil {
		t.Fatal(err)
	}
	if count, left, err := old.Unadopt(t.Context(), false); err != nil || count != 4 || len(left) != 0 {
		t.Errorf("%d, %v, %v", count, left, err)
	}
	u.adopt(u.source("crontabs", adopt.CeleryBeatSchedules))
	u.exec(`update crontabs set description = 'followed' where name = 'off'`)
	if s := u.named("off"); s.Description != "followed" || s.ManagedBy != "public.crontabs" {
		t.Errorf("%+v", s)
	}
	k.sweep()
	k.says(1, `that had failed`)

	// Its name again is as good.
	u.exec(`alter table crontabs rename to another`)
	u.exec(`update another set description = 'while it was called otherwise' where name = 'off'`)
	k.sweep()
	k.says(2, `level=ERROR`)
	u.exec(`alter table another rename to crontabs`)
	k.sweep()
	if s := u.named("off"); s.Description != "while it was called otherwise" {
		t.Errorf("%+v", s)
	}
}

// TestExchangedNames has two rows take each other's name in one statement, alone and among many.
func TestExchangedNames(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	u.adopt(u.seed(`(name, task_name, cron_expression) select 'n' || n, 'app.' || n, '0 9 * * *' from generate_series(1, 60) n`))
	for _, sql := range []string{
		`update celery_beat_schedules set name = case name when 'n1' then 'n2' else 'n1' end where name in ('n1', 'n2')`,
		`update celery_beat_schedules set name = 'n' || (substr(name, 2)::int % 3 + 1) where name in ('n1', 'n2', 'n3')`,
		`update celery_beat_schedules set name = 'n' || (substr(name, 2)::int % 60 + 1)`,
	} {
		u.exec(sql)
		if n := u.count(`select count(*) from celery_beat_schedules c join tactus.schedules s using (id)
			where s.name = c.name`); n != 60 {
			t.Errorf("%s: %d of 60 are called as their rows", sql, n)
		}
	}
	if n := u.count(`select count(*) from tactus.adopt_failures`); n != 0 {
		t.Errorf("%d failures", n)
	}
}

// TestPartitionedTable follows a table of schedules that has partitions, and lets go of it.
func TestPartitionedTable(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	u.exec(`create table public.celery_beat_schedules (id bigint, name text, task_name text, cron_expression text,
		enabled boolean default true, team text) partition by list (team);
		create table team_a partition of celery_beat_schedules for values in ('a');
		create table team_b partition of celery_beat_schedules for values in ('b');
		insert into celery_beat_schedules values (1, 'first', 'app.a', '0 9 * * *', true, 'a')`)
	s := u.source("celery_beat_schedules", adopt.CeleryBeatSchedules)
	u.adopt(s)
	u.exec(`insert into celery_beat_schedules values (2, 'second', 'app.a', '0 9 * * *', true, 'a')`)
	u.exec(`insert into team_b values (3, 'third', 'app.a', '0 9 * * *', true, 'b')`)
	u.exec(`update celery_beat_schedules set team = 'b', name = 'moved' where id = 2`)
	u.exec(`update team_b set id = 4 where id = 3`)
	u.exec(`delete from team_a`)
	if n := u.count(`select count(*) from tactus.schedules where deleted_at is null and name in ('moved', 'third')`); n != 2 {
		t.Errorf("%d schedules, want two", n)
	}
	if n := u.count(`select count(*) from tactus.adopt_failures`) +
		u.count(`select count(*) from tactus.schedules where deleted_at is null`); n != 2 {
		t.Errorf("%d schedules and failures", n)
	}
	if count, left, err := s.Unadopt(t.Context(), false); err != nil || count != 2 || len(left) != 0 {
		t.Errorf("%d, %v, %v", count, left, err)
	}
}

// TestOneOffsRunOnceMore enables one-offs that have run again, as their tables' own beat would have disabled them.
func TestOneOffsRunOnceMore(t *testing.T) {
	t.Parallel()
	u := newDjango(t)
	u.django(makeTasks)
	u.adopt(u.source("django_celery_beat_periodictask", adopt.DjangoCeleryBeat))
	// they have run
	u.exec(`insert into tactus.schedule_counts select id, trigger_set_at, 1 from tactus.schedules
		where name in ('once', 'past')`)
	k := u.keeper()
	ran := u.named("past").RunAt
	u.exec(`update django_celery_beat_periodictask set description = 'it is as it was' where name in ('once', 'past')`)
	k.sweep()
	if n := u.count(`select count(*) from tactus.schedules s join tactus.schedule_counts c on c.schedule_id = s.id
		and c.trigger_set_at = s.trigger_set_at`); n != 2 || u.named("past").RunAt != ran {
		t.Errorf("%d have run, %s", n, u.named("past").RunAt)
	}
	u.exec(`update django_celery_beat_periodictask set enabled = false where name in ('once', 'past')`)
	u.exec(`update django_celery_beat_periodictask set enabled = true where name in ('once', 'past')`)
	if n := u.count(`select count(*) from tactus.schedules s join tactus.schedule_counts c on c.schedule_id = s.id
		and c.trigger_set_at = s.trigger_set_at`); n != 0 {
		t.Errorf("the runs of %d count still", n)
	}
	once, past := u.named("once"), u.named("past")
	if due, ok := past.Next(past.EffectiveFrom); !ok || due.Sub(past.EffectiveFrom) > 2*time.Second ||
		!once.Runnable() {
		t.Errorf("past is due at %s, %v; once is %+v", due, ok, once)
	}
	k.says(0, asMended)
}

// TestRoundsHoldNoLockForLong has somebody hold a row for long: the beat gives up, tells nothing of it, and catches up
// afterwards.
func TestRoundsHoldNoLockForLong(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	u.adopt(u.seed(`(name, task_name, cron_expression) values ('a', 'app.a', '* * * * *'), ('b', 'app.b', '* * * * *')`))
	u.exec(`alter table celery_beat_schedules disable trigger user; update celery_beat_schedules
		set description = 'changed'; alter table celery_beat_schedules enable trigger user`)
	holder, err := u.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := holder.Exec(t.Context(), `select from celery_beat_schedules for update`); err != nil {
		t.Fatal(err)
	}
	u.exec(`select tactus.adopt_round(100)`)
	if n := u.count(`select count(*) from tactus.adopt_failures`); n != 0 {
		t.Errorf("%d failures, because somebody holds a row", n)
	}
	if err := holder.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := u.count(`select mended from tactus.adopt_round(100)`); n != 2 {
		t.Errorf("%d mended once the rows are free", n)
	}
}
