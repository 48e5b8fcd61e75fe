package adopt_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/internal/adopt"
)

// oddRows are rows of every sort, in one statement: some are alike, some bad, some in each other's way.
const oddRows = `
insert into celery_beat_schedules (id, name, task_name, cron_expression, enabled, args, kwargs, description, category, tags, execution_policy)
select ('019ca93d-4000-7000-8000-' || lpad(n::text, 12, '0'))::uuid,
    case n % 17 when 0 then 'twin' when 1 then ' padded ' || n when 2 then E'tab\t' || n when 3 then gen_random_uuid()::text when 4 then repeat('n', 250) || n
        when 5 then 'ラーメン' || n when 6 then '' when 7 then 'mine' else 'name ' || n end,
    case n % 23 when 0 then ' ' else 'app.' || n % 5 end,
    case n % 11 when 0 then '0 9 * *' when 1 then 'TZ=Asia/Tokyo  0 9 * * *' when 2 then '@daily' else '*/' || 1 + n % 7 || ' 9 * * mon-fri' end,
    n % 3 <> 0,
    (case n % 7 when 0 then '[]' when 1 then '"[1, 2]"' when 2 then '{}' when 3 then 'null' else '[' || n || ', "é"]' end)::json,
    (case n % 5 when 0 then '{}' when 1 then '"{\"a\": 1}"' when 2 then '"no json"' else '{"n": ' || n || '}' end)::json,
    case n % 13 when 0 then '' when 1 then repeat('d', 2001) when 2 then E'bell\x07' when 3 then null else 'about ' || n end,
    case n % 19 when 0 then null else 'c' || n % 4 end,
    (case n % 9 when 0 then '[]' when 1 then '"a, b"' when 2 then '["", "x"]' when 3 then '[1]' when 4 then 'null' when 5 then '[["x"], "y"]' else '["x", "t' || n % 3 || '"]' end)::json,
    case n % 29 when 0 then 'sometimes' when 1 then null when 2 then 'skip' else 'allow' end
from generate_series(1, 150) n`

// TestManyAtOnceAreAsEachAlone writes many rows by one statement, then lets each be adopted by itself: that finds
// nothing to do.
func TestManyAtOnceAreAsEachAlone(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	source := u.seed("")
	u.adopt(source)
	u.exec(`select tactus.put_schedule('{"name": "mine", "task_name": "a", "cron_expression": "* * * * *"}')`)
	for n, sql := range []string{
		oddRows,
		`update celery_beat_schedules set cron_expression = '30 8 1 * *' where cron_expression like '*/3%'`,
		`update celery_beat_schedules set enabled = not enabled`,
		`update celery_beat_schedules set name = name || '!', tags = '["new"]', args = '[7]', description = null,
			kwargs = '{"a": null}'`,
		`update celery_beat_schedules set name = 'the same' where task_name = 'app.1'`,
		`update celery_beat_schedules set id = gen_random_uuid() where task_name = 'app.2'`,
		`delete from celery_beat_schedules where task_name = 'app.3'`,
		`insert into celery_beat_schedules (id, name, task_name,
			cron_expression) select ('019ca93d-4000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'again ' || n, 'a',
			    '0 9 * * *'
			from generate_series(1, 150) n on conflict (id) do update set name = excluded.name`,
		`truncate celery_beat_schedules`,
	} {
		u.exec(sql)
		u.asEachAlone(fmt.Sprintf("statement %d", n), source)
	}
}

// TestManyDjangoTasksAtOnce does the same with the tables of django-celery-beat.
func TestManyDjangoTasksAtOnce(t *testing.T) {
	t.Parallel()
	u := newDjango(t)
	source := u.source("django_celery_beat_periodictask", adopt.DjangoCeleryBeat)
	u.adopt(source)
	u.exec(`insert into django_celery_beat_crontabschedule (minute, hour, day_of_week, day_of_month, month_of_year,
		timezone)
		values ('0', '9', '*', '*', '*', 'Asia/Tokyo'), ('0', '9', '8', '*', '*', 'UTC')`)
	u.exec(`insert into django_celery_beat_intervalschedule (every, period)
		values (10, 'minutes'), (500, 'microseconds')`)
	u.exec(`insert into django_celery_beat_clockedschedule (clocked_time) values ('2100-01-01 12:00Z')`)
	u.exec(`insert into django_celery_beat_solarschedule (event, latitude, longitude) values ('sunrise', 35, 139)`)
	for n, sql := range []string{
		`insert into django_celery_beat_periodictask (name, task, args, kwargs, headers, queue, priority, one_off,
			enabled, total_run_count, date_changed, description,
			last_run_at, start_time, expires, expire_seconds, crontab_id, interval_id, clocked_id, solar_id)
		select 'task ' || n, 'app.' || n % 5, case n % 7 when 0 then '{}' else '[' || n || ']' end, case n % 9 when 0 then 'no' else '{}' end,
			case n % 10 when 0 then '{"x": 1}' else '{}' end, case n % 4 when 0 then 'q' end, case n % 6 when 0 then 5 end, n % 8 = 2, n % 5 <> 0, n % 3, now(), '',
			case n % 5 when 0 then '2026-03-02 11:55:01.25Z'::timestamptz end, case n % 11 when 0 then '2026-01-01Z'::timestamptz end,
			case n % 12 when 0 then '2020-01-01Z'::timestamptz end, case n % 3 when 0 then 60 end,
			case n % 8 when 0 then 1 when 1 then 2 when 2 then 1 end, case n % 8 when 3 then 1 when 4 then 1 when 5 then 2 end, case n % 8 when 6 then 1 end, case n % 8 when 7 then 1 end
		from generate_series(1, 300) n`,
		`update django_celery_beat_periodictask set queue = 'moved', last_run_at = now()`,
		`update django_celery_beat_periodictask set total_run_count = total_run_count + 1`,
		`update django_celery_beat_intervalschedule set every = 20 where period = 'minutes'`,
		`update django_celery_beat_crontabschedule set hour = '10'`,
		`update django_celery_beat_periodictask
			set interval_id = 1, crontab_id = null, clocked_id = null, solar_id = null, one_off = false`,
		`delete from django_celery_beat_periodictask where id % 2 = 0`,
	} {
		u.exec(sql)
		u.asEachAlone(fmt.Sprintf("statement %d", n), source)
	}
}

// butNames is what an event says besides the name of the schedule, and that of its row.
func butNames(event string) string {
	return strings.ReplaceAll(`(e.data::jsonb - '{name,version,updated_at}'::text[]
		- case when (e.data::jsonb->'headers') - 'periodic_task_name' = '{}' then 'headers' else '' end)`, "e.", event+".")
}

// asEachAlone holds the schedules against their rows, one by one. A name that has become free since may be taken, and
// the header that says it is the row's is dropped then.
func (u upstream) asEachAlone(what string, s adopt.Source) {
	u.Helper()
	u.exec(`analyze tactus.schedules, tactus.outbox`)
	events := u.count(`select count(*) from tactus.outbox`)
	u.exec(`select tactus.adopt_key($1, id::text) from `+s.Table, s.Table)
	if n := u.count(`select count(*) from (select * from tactus.outbox order by position offset $1) o left
		join tactus.outbox p on p.aggregate_id = o.aggregate_id
		and p.version = o.version - 1 and `+butNames("o")+` = `+butNames("p")+` where p.version is null`, events); n != 0 {
		u.Errorf("%s: alone, %d are another", what, n)
	}
	if rows, living := u.count(`select count(*) from `+s.Table),
		u.count(`select count(*) from tactus.schedules where deleted_at is null and managed_by = $1`,
			s.Table); rows != living {
		u.Errorf("%s: %d rows, %d schedules", what, rows, living)
	}
	if n := u.count(`select count(*) from tactus.schedules, jsonb(definition) d where managed_by is not null
		and ((trigger, policy, task::text, category, enabled, name) is distinct from
		(tactus.trigger_text(d), tactus.policy_text(d), tactus.task_document(d)::text, coalesce(d->>'category', ''), (d->>'enabled')::boolean and invalid_reason is null, d->>'name')
		or tags <> array(select jsonb_array_elements_text(coalesce(d->'tags', '[]')))
		or anchor is distinct from coalesce(d->>'run_at', case when d ? 'interval_seconds' then d->>'interval_anchor' end)::timestamptz)`); n != 0 {
		u.Errorf("%s: %d rows do not say what their definitions do", what, n)
	}
	if n := u.count(`select count(*) from (select aggregate_id, version,
		row_number() over (partition by aggregate_id order by position) as place from tactus.outbox) e
		where version <> place`); n != 0 {
		u.Errorf("%s: %d events are out of order", what, n)
	}
	if n := u.count(`select count(*) from tactus.schedules s left join tactus.outbox o on o.aggregate_id = s.id
		and o.version = s.version
		where o.version is null or (o.type = 'schedule.deleted') <> (s.deleted_at is not null) or (o.data->>'effective_from')::timestamptz <> s.effective_from
		or o.data->>'cron_expression' is distinct from s.definition->>'cron_expression'`); n != 0 {
		u.Errorf("%s: %d schedules have no event that says the same", what, n)
	}
	if n := u.count(`select count(*) from tactus.adopt_failures`); n != 0 {
		u.Errorf("%s: %d failures", what, n)
	}
}

// TestStorm changes all rows of a large table by one statement (TACTUS_STORM_ROWS, 10,000 unless set): every change
// comes with its event, and what the upstream's statement takes beside a bare one is told.
func TestStorm(t *testing.T) {
	t.Parallel()
	rows := 10_000
	if text := os.Getenv("TACTUS_STORM_ROWS"); text != "" {
		var err error
		if rows, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	u := newUpstream(t)
	source := u.seed(fmt.Sprintf(
		`(name, task_name, cron_expression, args) select 'n' || n, 'app.' || n %% 20, n %% 60 || ' 9 * * *', json_build_array(n) from generate_series(1, %d) n`, rows))
	timed := func(sql string) time.Duration {
		began := time.Now()
		u.exec(sql)
		return time.Since(began)
	}
	bare := timed(`update celery_beat_schedules set cron_expression = '1 9 * * *'`)
	adopting := time.Now()
	u.adopt(source)
	t.Logf("adopted %d rows in %s", rows, time.Since(adopting).Round(time.Millisecond))
	for n, sql := range []string{
		`update celery_beat_schedules set cron_expression = '2 9 * * *'`,
		`update celery_beat_schedules set last_run_at = now()`,
		`delete from celery_beat_schedules`,
	} {
		took := timed(sql)
		t.Logf("%s: %s, %.1f times the bare update (%s)", sql, took.Round(time.Millisecond),
			float64(took)/float64(bare), bare.Round(time.Millisecond))
		version := []int{2, 2, 3}[n]
		if count := u.count(`select count(*) from tactus.schedules s join tactus.outbox o on o.aggregate_id = s.id
			and o.version = s.version where s.version = $1`, version); count != rows {
			t.Errorf("%s: %d of %d have come", sql, count, rows)
		}
	}
	if n := u.count(`select count(*) from tactus.outbox`); n != 3*rows ||
		u.count(`select count(*) from tactus.adopt_failures`) != 0 {
		t.Errorf("%d events, want %d", n, 3*rows)
	}
}
