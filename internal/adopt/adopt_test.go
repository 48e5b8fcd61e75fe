package adopt_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/adopt"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

const fewRows = `(id, name, task_name, cron_expression, enabled, args, kwargs, description, category, tags, execution_policy, last_run_at) values
	('019ca93d-4000-7000-8000-00000000002a', 'daily', 'app.daily', '0 9 * * *', true, '[1, "é"]', '{"a": {"b": null}}', 'every day', 'c', '["x", "y"]', 'allow', '2026-01-01'),
	('019ca93d-4000-7000-8000-00000000002b', 'off', 'app.off', '*/5 * * * *', false, null, null, null, null, null, null, null),
	('019ca93d-4000-7000-8000-00000000002c', 'bad', 'app.bad', '0 9 * *', true, '{}', '[]', null, null, '"a, b"', 'sometimes', null),
	('019ca93d-4000-7000-8000-00000000002d', 'daily', 'app.again', '0 10 * * 7', true, '"[2]"', '"{}"', null, null, '[]', 'skip', null)`

func TestExistingRowsComeIn(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	s := u.seed(fewRows)
	before := time.Now()
	u.adopt(s)
	daily := u.named("daily")
	if daily.ID.String() != "019ca93d-4000-7000-8000-00000000002a" || daily.Version != 1 ||
		daily.Timezone != "Asia/Tokyo" || daily.TaskName != "app.daily" ||
		string(daily.Args) != `[1,"é"]` || string(daily.Kwargs) != `{"a":{"b":null}}` ||
		daily.Description != "every day" || daily.Category != "c" ||
		!slices.Equal(daily.Tags, []string{"x", "y"}) || daily.ManagedBy != "public.celery_beat_schedules" ||
		daily.InvalidReason != "" {
		t.Errorf("%+v", daily)
	}
	if daily.EffectiveFrom.Before(before.Add(-time.Minute)) {
		t.Errorf("what was due before the adoption would fire: %s", daily.EffectiveFrom)
	}
	if off := u.named("off"); off.IsEnabled() || off.CronExpression != "*/5 * * * *" {
		t.Errorf("%+v", off)
	}
	bad := u.named("bad")
	for _, code := range []string{"cron_syntax", "args_not_list", "kwargs_not_object", "choice_invalid"} {
		if !strings.Contains(bad.InvalidReason, code) {
			t.Errorf("%s is not told: %s", code, bad.InvalidReason)
		}
	}
	if bad.Runnable() || !slices.Equal(bad.Tags, []string{"a", "b"}) {
		t.Errorf("%+v", bad)
	}
	again := u.named("daily-00000000002d") // names are unique here, if not there
	if again.CronExpression != "0 10 * * 7" || string(again.Args) != "[2]" || again.ExecutionPolicy != "skip" ||
		!again.Runnable() {
		t.Errorf("%+v", again)
	}
	u.adopt(s)
	if n := u.count(`select count(*) from tactus.outbox`); n != 4 {
		t.Errorf("%d events: adopting again changes something", n)
	}
	if n := u.count(`select count(*) from tactus.outbox where type = 'schedule.invalidated'`); n != 1 {
		t.Errorf("%d schedules are told to be invalid", n)
	}
}

// TestUpstreamsWritesCommitWithTheirSchedules writes as a service does, in every way, and follows what comes of it.
func TestUpstreamsWritesCommitWithTheirSchedules(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	u.adopt(u.seed(fewRows))
	undo := errors.New("undo")
	err := pgx.BeginFunc(t.Context(), u.pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(),
			`insert into celery_beat_schedules (name, task_name, cron_expression) values ('undone', 'a', '* * * * *')`)
		return errors.Join(err, undo)
	})
	if n := u.count(`select count(*) from tactus.outbox`); n != 4 || !errors.Is(err, undo) {
		t.Errorf("rolled back, and %d events are there, %v", n, err)
	}
	u.exec(`insert into celery_beat_schedules (id, name, task_name, cron_expression)
		values ('019ca93d-4000-7000-8000-00000000002e', 'new', 'a', '* * * * *')`)
	if s := u.named("new"); s.Version != 1 {
		t.Errorf("inserted: %+v", s)
	}
	daily := u.named("daily")
	u.exec(`update celery_beat_schedules set last_run_at = now(), updated_at = now()`)
	if s := u.named("daily"); s.Version != 1 {
		t.Errorf("that it ran is no change: %+v", s)
	}
	u.exec(`update celery_beat_schedules set cron_expression = '0 11 * * *'`)
	if s := u.named("daily"); s.Version != 2 || s.CronExpression != "0 11 * * *" ||
		!s.EffectiveFrom.After(daily.EffectiveFrom) {
		t.Errorf("bulk SQL: %+v", s)
	}
	u.exec(`update celery_beat_schedules set args = '[]', kwargs = '{}', execution_policy = 'allow' where name = 'bad'`)
	if s := u.named("bad"); !s.Runnable() || s.InvalidReason != "" {
		t.Errorf("mended: %+v", s)
	}
	u.exec(`update celery_beat_schedules set enabled = not enabled where name = 'off'`)
	if s := u.named("off"); !s.Runnable() {
		t.Errorf("enabled: %+v", s)
	}
	u.exec(`update celery_beat_schedules set id = '019ca93d-4000-7000-8000-0000000000ff' where name = 'new'`)
	if s := u.named("new"); s.ID.String() != "019ca93d-4000-7000-8000-0000000000ff" {
		t.Errorf("another key: %+v", s)
	}
	u.exec(`delete from celery_beat_schedules where name = 'off'`)
	if _, err := outbox.GetByName(t.Context(), u.pool, "off"); !errors.Is(err, domain.ErrNotFound) {
		t.Errorf("deleted: %v", err)
	}
	u.exec(`insert into celery_beat_schedules (id, name, task_name, cron_expression)
		values ('019ca93d-4000-7000-8000-00000000002b', 'off', 'a', '* * * * *')`)
	if s := u.named("off"); s.Version != 5 || !s.DeletedAt.IsZero() {
		t.Errorf("the same key again: %+v", s)
	}
	u.exec(`truncate celery_beat_schedules`)
	if n := u.count(`select count(*) from tactus.schedules where deleted_at is null`); n != 0 {
		t.Errorf("%d schedules are left after truncate", n)
	}
	if n := u.count(`select count(*) from tactus.adopt_failures`); n != 0 {
		t.Errorf("%d failures", n)
	}
}

// TestTriggersNeverBreakTheUpstream takes away what the triggers need: the service writes on, and what it wrote comes
// in when it can be mended.
func TestTriggersNeverBreakTheUpstream(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	u.adopt(u.seed(fewRows))
	u.exec(`alter table tactus.outbox rename to hidden`)
	u.exec(`update celery_beat_schedules set description = 'while it was down' where name = 'off'`)
	u.exec(`delete from celery_beat_schedules where name = 'bad'`)
	u.exec(`alter table tactus.hidden rename to outbox`)
	if n := u.count(`select count(*) from tactus.adopt_failures where reason like '42P01: %'`); n != 2 {
		t.Errorf("%d failures, want two", n)
	}
	if s := u.named("off"); s.Version != 1 {
		t.Errorf("written all the same: %+v", s)
	}
	if left, err := adopt.Mend(t.Context(), u.pool); err != nil || left != 0 {
		t.Errorf("%d are left, %v", left, err)
	}
	if s := u.named("off"); s.Description != "while it was down" {
		t.Errorf("not mended: %+v", s)
	}
	if n := u.count(`select count(*) from tactus.schedules where name = 'bad' and deleted_at is null`); n != 0 {
		t.Error("the deleted one is there")
	}
	u.exec(`drop schema tactus cascade`) // the triggers go with their functions
	u.exec(`update celery_beat_schedules set description = 'without tactus'`)
}

// TestWritersWithoutRights writes as a user who may do nothing in tactus' schema.
func TestWritersWithoutRights(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	u.adopt(u.seed(""))
	role := fmt.Sprintf("writer_%d", u.count(`select oid::int from pg_database where datname = current_database()`))
	u.exec(`create role ` + role)
	t.Cleanup(func() {
		ctx := context.Background() // the test's own has ended
		for _, sql := range []string{`drop owned by ` + role, `drop role ` + role} {
			if _, err := u.pool.Exec(ctx, sql); err != nil {
				t.Error(err)
			}
		}
	})
	u.exec(`grant insert, select, update on celery_beat_schedules to ` + role)
	err := pgx.BeginFunc(t.Context(), u.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), `set local role `+role); err != nil {
			return err
		}
		_, err := tx.Exec(t.Context(),
			`insert into celery_beat_schedules (name, task_name, cron_expression) values ('theirs', 'a', '* * * * *')`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	u.named("theirs")
}

// TestAdoptingWhileTheServiceWrites loses nothing of what is written meanwhile.
func TestAdoptingWhileTheServiceWrites(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	s := u.seed(`(name, task_name, cron_expression) select 'n' || n, 'app.a', '0 9 * * *' from generate_series(1, 1200) n`)
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for w := range 3 {
		writers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				_, err := u.pool.Exec(t.Context(),
					`update celery_beat_schedules set description = $1 where name = 'n' || $2::int`,
					fmt.Sprint(w, "/", i), i*7%1200+1)
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	u.adopt(s)
	stop()
	writers.Wait()
	if left, err := adopt.Mend(t.Context(), u.pool); err != nil || left != 0 {
		t.Errorf("%d failures are left, %v", left, err)
	}
	if n := u.count(`select count(*) from celery_beat_schedules c join tactus.schedules s using (id)
		where s.deleted_at is null and coalesce(c.description, '') = coalesce(s.definition->>'description', '')`); n != 1200 {
		t.Errorf("%d of 1200 schedules are as their rows", n)
	}
	if n := u.count(`select count(*) from (select aggregate_id, version,
		row_number() over (partition by aggregate_id order by position) as place from tactus.outbox) e
		where version <> place`); n != 0 {
		t.Errorf("%d events are out of order", n)
	}
}

// TestAdoptingWaitsForOpenTransactions holds a row back that was written before there were triggers.
func TestAdoptingWaitsForOpenTransactions(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	s := u.seed("")
	adopted := make(chan error, 1)
	err := pgx.BeginFunc(t.Context(), u.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(),
			`insert into celery_beat_schedules (name, task_name, cron_expression) values ('open', 'a', '* * * * *')`); err != nil {
			return err
		}
		go func() { adopted <- s.Adopt(t.Context(), "UTC") }()
		testenv.Eventually(t, "adopting waits", func() error {
			if u.count(`select count(*) from pg_locks where relation = 'celery_beat_schedules'::regclass
				and mode = 'ShareRowExclusiveLock' and not granted`) == 0 {
				return errors.New("not yet")
			}
			return nil
		})
		return nil
	})
	if err := errors.Join(err, <-adopted); err != nil {
		t.Fatal(err)
	}
	u.named("open")
}

// TestAdoptingTakesTheNewestRow adopts again while a change of a row is not committed yet.
func TestAdoptingTakesTheNewestRow(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	s := u.seed(fewRows)
	u.adopt(s)
	adopted := make(chan error, 1)
	err := pgx.BeginFunc(t.Context(), u.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(),
			`update celery_beat_schedules set description = 'newest' where name = 'off'`); err != nil {
			return err
		}
		go func() { adopted <- s.Adopt(t.Context(), "Asia/Tokyo") }()
		testenv.Eventually(t, "adopting waits", func() error {
			if u.count(`select count(*) from pg_stat_activity where datname = current_database()
				and wait_event_type = 'Lock'`) == 0 {
				return errors.New("not yet")
			}
			return nil
		})
		return nil
	})
	if err := errors.Join(err, <-adopted); err != nil {
		t.Fatal(err)
	}
	if off := u.named("off"); off.Description != "newest" || off.Version != 2 {
		t.Errorf("an older row was taken: %+v", off)
	}
}

func TestUnadopt(t *testing.T) {
	t.Parallel()
	for keep, want := range map[bool]int{false: 0, true: 4} {
		u := newUpstream(t)
		s := u.seed(fewRows)
		u.adopt(s)
		if count, _, err := s.Unadopt(t.Context(), keep); err != nil || count != 4 {
			t.Fatalf("%d, %v", count, err)
		}
		u.exec(`update celery_beat_schedules set description = 'not followed'`)
		if n := u.count(`select count(*) from tactus.schedules where deleted_at is null and managed_by is null
			and coalesce(definition->>'description', '') <> 'not followed'`); n != want {
			t.Errorf("keep %v: %d schedules, want %d", keep, n, want)
		}
		if n := u.count(`select count(*) from pg_trigger where tgname like 'tactus%'`); n != 0 {
			t.Errorf("%d triggers are left", n)
		}
		u.adopt(s)
		if daily := u.named("daily"); daily.Description != "not followed" || daily.ManagedBy == "" {
			t.Errorf("adopted again: %+v", daily)
		}
	}
}

func TestPreviewShowsWhatWouldComeAndChangesNothing(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	s := u.seed(fewRows)
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		change string
		want   []string
	}{
		{``, []string{
			"daily new 2026-03-03T00:00:00Z [overdue]", "off new - []", "bad new invalid - []",
			"daily-00000000002d new 2026-03-08T01:00:00Z [celery_refuses]",
		}},
		{`select`, nil},
	} {
		if c.change == `select` {
			u.adopt(s)
			u.exec(`alter table celery_beat_schedules disable trigger all`)
			u.exec(`update celery_beat_schedules set description = 'd' where name = 'off'`)
			u.exec(`update celery_beat_schedules set cron_expression = '0 9 * * 8' where name = 'bad'`)
			u.exec(`update celery_beat_schedules set args = '[]', kwargs = '{}', execution_policy = 'allow'
				where name = 'bad'`)
			u.exec(`delete from celery_beat_schedules where task_name = 'app.again'`)
			c.want = []string{
				"daily same 2026-03-03T00:00:00Z [overdue]", "off changed - []",
				"bad changed invalid - []", "daily-00000000002d gone - []",
			}
		}
		events := u.count(`select count(*) from tactus.outbox`)
		rows, err := s.Preview(t.Context(), "Asia/Tokyo", now)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range rows {
			got = append(got, told(r))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
		if n := u.count(`select count(*) from tactus.outbox`); n != events {
			t.Errorf("%d events of a preview", n-events)
		}
	}
}

func told(r adopt.Row) string {
	text := r.Name + " " + r.Change
	if r.Invalid != "" {
		text += " invalid"
	}
	next := "-"
	if r.Next != nil {
		next = r.Next.Format(time.RFC3339)
	}
	codes := []string{}
	for _, d := range r.Differences {
		codes = append(codes, d.Code)
	}
	return fmt.Sprint(text, " ", next, " ", codes)
}

func TestFindRefusesWhatIsNoSource(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	u.seed("")
	for table, want := range map[string]string{
		"nowhere":          "there is no table nowhere in this database: give its schema too, unless that is public",
		"tactus.schedules": "tactus.schedules has no column task_name: it is not a table of celery_beat_schedules",
	} {
		if _, err := adopt.Find(t.Context(), u.pool, table, adopt.CeleryBeatSchedules); err == nil ||
			err.Error() != want {
			t.Errorf("%s: %v", table, err)
		}
	}
	if err := u.source("public.celery_beat_schedules", adopt.CeleryBeatSchedules).Adopt(t.Context(),
		"EST"); err == nil {
		t.Error("an abbreviation is no zone")
	}
}
