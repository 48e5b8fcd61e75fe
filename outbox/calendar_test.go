package outbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/calendar"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

func withCalendars(t *testing.T, names ...string) (*pgxpool.Pool, *outbox.Store) {
	t.Helper()
	pool := testenv.Database(t)
	store := outbox.NewStore(pool, "", handover.Limits{}.Check)
	for _, name := range names {
		c := domain.Calendar{Name: name, Days: []calendar.Item{{From: "2127-01-01"}}}
		if _, _, err := store.PutCalendar(t.Context(), c, 0); err != nil {
			t.Fatal(err)
		}
	}
	return pool, store
}

// TestFunctionsWriteCalendarsAsGoDoes puts schedules that name calendars by SQL, and then by Go: nothing changes.
func TestFunctionsWriteCalendarsAsGoDoes(t *testing.T) {
	t.Parallel()
	pool, store := withCalendars(t, "a", "b", "A.1")
	for i, members := range []string{
		`"exclude_calendars": ["b", "a", "b", "A.1"]`, `"only_calendars": ["a"], "on_excluded": "next_allowed", "timezone": "Asia/Tokyo"`,
		`"exclude_calendars": ["a"], "only_calendars": [], "on_excluded": "", "jitter_seconds": 3, "execution_policy": "skip", "dst_gap": "skip"`,
		`"exclude_calendars": null, "only_calendars": [], "on_excluded": null`, `"only_calendars": ["a"], "on_excluded": "drop_if_taken", "max_runs": 3`,
	} {
		text := `{"name": "n` + fmt.Sprint(i) + `", "task_name": "a", "cron_expression": "0 9 * * *", ` + members + `}`
		id := putSQL(t, pool, text)
		written := checkHistory(t, pool, id)
		d, err := domain.Decode([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		want, _, err := d.Normalize(domain.Context{ID: id, Now: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		enabled := true
		want.Enabled = &enabled
		if diff := cmp.Diff(comparable(t, want), comparable(t, written.Definition)); diff != "" {
			t.Errorf("%s (-Go +SQL):\n%s", members, diff)
		}
		var policy string
		if err := pool.QueryRow(t.Context(), `select policy from tactus.schedules where id = $1`, id).Scan(&policy); err != nil || policy != want.Policy().String() {
			t.Errorf("%s: policy %s, want %s (%v)", members, policy, want.Policy(), err)
		}
		if after, _, err := store.Put(t.Context(), d); err != nil || after.Version != written.Version {
			t.Errorf("%s: put again by Go: version %d after %d, %v", members, after.Version, written.Version, err)
		}
	}
	// An edit of the calendars moves due times, written by either.
	for i, members := range []string{`"exclude_calendars": ["a"]`, `"exclude_calendars": ["b"]`, `"exclude_calendars": ["b"], "on_excluded": "next_allowed"`} {
		before, err := outbox.GetByName(t.Context(), pool, "n0")
		if err != nil {
			t.Fatal(err)
		}
		after := checkHistory(t, pool, putSQL(t, pool, `{"name": "n0", "task_name": "a", "cron_expression": "0 9 * * *", `+members+`}`))
		if !after.TriggerSetAt.After(before.TriggerSetAt) || !after.EffectiveFrom.After(before.EffectiveFrom) {
			t.Errorf("edit %d moves nothing", i)
		}
	}
}

// TestCalendarFaultsOfSchedules refuses by both ways what names no calendar, by the same codes.
func TestCalendarFaultsOfSchedules(t *testing.T) {
	t.Parallel()
	pool, store := withCalendars(t, "a")
	for members, want := range map[string]string{
		`"exclude_calendars": ["a", "none"]`:                              "calendar_unknown /exclude_calendars/1",
		`"only_calendars": ["none"]`:                                      "calendar_unknown /only_calendars/0",
		`"only_calendars": ["a b"]`:                                       "calendar_name_invalid /only_calendars/0",
		`"exclude_calendars": ["a"], "only_calendars": ["a"]`:             "calendar_ambiguous /only_calendars",
		`"on_excluded": "skip"`:                                           "calendar_missing /on_excluded",
		`"exclude_calendars": ["a"], "on_excluded": "x"`:                  "choice_invalid /on_excluded",
		`"exclude_calendars": "a"`:                                        "type_invalid /exclude_calendars",
		`"only_calendars": ["a","a","a","a","a","a","a","a","a","a","a"]`: "out_of_range /only_calendars",
		`"only_calendars": ["none"], "jitter_seconds": -1`:                "calendar_unknown /only_calendars/0, out_of_range /jitter_seconds",
	} {
		text := `{"name": "n", "task_name": "a", "cron_expression": "0 9 * * *", ` + members + `}`
		_, err := pool.Exec(t.Context(), `select tactus.put_schedule($1)`, text)
		e, _ := errors.AsType[*pgconn.PgError](err)
		var told []struct{ Code, Location string }
		if e == nil || json.Unmarshal([]byte(e.Detail), &told) != nil {
			t.Errorf("%s: %v", members, err)
			continue
		}
		for _, f := range told {
			if !strings.Contains(want, f.Code+" "+f.Location) {
				t.Errorf("%s: by SQL %v, want %s", members, told, want)
			}
		}
		d, err := domain.Decode([]byte(text))
		if err == nil {
			_, _, err = store.Put(t.Context(), d)
		}
		faults := domain.FaultsOf(err)
		for _, f := range faults {
			if !strings.Contains(want, f.Code+" "+f.Field) {
				t.Errorf("%s: by Go %v, want %s", members, err, want)
			}
		}
		if n := 1 + strings.Count(want, ","); len(faults) != n || len(told) != n {
			t.Errorf("%s: %d faults by Go, %d by SQL, want %d", members, len(faults), len(told), n)
		}
	}
	err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error { // a fault does not abort the caller's transaction
		d := domain.Definition{Name: "n", TaskName: "t", CronExpression: "0 9 * * *", ExcludeCalendars: []string{"none"}}
		if _, err := outbox.Put(t.Context(), tx, d); !errors.Is(err, &domain.Error{Code: "calendar_unknown"}) {
			t.Errorf("%v", err)
		}
		if _, err := outbox.PutCalendar(t.Context(), tx, domain.Calendar{Name: "none"}); !errors.Is(err, &domain.Error{Code: "days_missing"}) {
			t.Errorf("%v", err)
		}
		if _, err := outbox.PutCalendar(t.Context(), tx, domain.Calendar{Name: "none", Days: []calendar.Item{}}); err != nil {
			return err
		}
		_, err := outbox.Put(t.Context(), tx, d)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestCalendarInUse deletes no calendar that a schedule uses, though that is not committed yet, and lets no schedule
// use one that is being deleted.
func TestCalendarInUse(t *testing.T) {
	t.Parallel()
	pool, store := withCalendars(t, "used", "free")
	d := domain.Definition{Name: "n", TaskName: "t", CronExpression: "0 9 * * *", ExcludeCalendars: []string{"used"}}
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	if _, err := outbox.Put(t.Context(), tx, d); err != nil {
		t.Fatal(err)
	}
	// A calendar may change meanwhile, and waits with its end.
	c := domain.Calendar{Name: "used", Days: []calendar.Item{{From: "2127-01-02"}}}
	if after, _, err := store.PutCalendar(t.Context(), c, 0); err != nil || after.Version != 2 {
		t.Errorf("%+v, %v", after, err)
	}
	if err := store.DeleteCalendar(t.Context(), "used", 0); !errors.Is(err, domain.ErrCalendarLocked) {
		t.Errorf("while the schedule is written: %v", err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := store.DeleteCalendar(t.Context(), "used", 0); !errors.Is(err, domain.ErrCalendarInUse) || !strings.Contains(err.Error(), "(n)") {
		t.Errorf("in use: %v", err)
	}
	if kept, usedBy, err := store.Calendar(t.Context(), "used"); err != nil || usedBy != 1 {
		t.Errorf("%+v, %d, %v", kept, usedBy, err)
	}
	with := func(end func(context.Context, pgx.Tx) error) {
		t.Helper()
		tx, err := pool.Begin(t.Context())
		if err == nil {
			err = outbox.DeleteCalendar(t.Context(), tx, "free")
		}
		if err == nil {
			err = end(t.Context(), tx)
		}
		if err != nil {
			t.Error(err)
		}
	}
	with(func(ctx context.Context, tx pgx.Tx) error { return tx.Rollback(ctx) })
	if _, _, err := store.Calendar(t.Context(), "free"); err != nil {
		t.Errorf("it was deleted in a transaction that is undone: %v", err)
	}
	with(func(ctx context.Context, tx pgx.Tx) error { return tx.Commit(ctx) })
	if _, err := pool.Exec(t.Context(), `update tactus.schedules set policy = replace(policy, '"used"', '"free"')`); err == nil {
		t.Error("a schedule names a calendar that is gone")
	}
	s, err := outbox.GetByName(t.Context(), pool, "n")
	if err == nil {
		err = store.Delete(t.Context(), s.ID, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := store.DeleteCalendar(t.Context(), "used", 0); err != nil {
		t.Errorf("used by a deleted schedule: %v", err)
	}
}

// TestCalendarsAreBoundedTogether has more calendars than there is room for, as only a hand can write them: another one
// is refused, and so is a larger one, with what to do; a smaller one is taken, and so is another when some are gone.
func TestCalendarsAreBoundedTogether(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	store := outbox.NewStore(pool, "", handover.Limits{}.Check)
	dear := []calendar.Item{{From: "1990-01-01T00:00", To: "1990-01-01T00:01", RRule: "FREQ=HOURLY;COUNT=49000"}}
	put := func(name string, days ...calendar.Item) error {
		_, _, err := store.PutCalendar(t.Context(), domain.Calendar{Name: name, Days: days}, 0)
		return err
	}
	if err := put("dear", dear...); err != nil {
		t.Fatal(err)
	}
	_, err := pool.Exec(t.Context(), `
insert into tactus.calendars (id, name, version, description, days, created_at, updated_at)
select gen_random_uuid(), 'dear-' || n, 1, '', days, created_at, updated_at from tactus.calendars, generate_series(1, 99) n`)
	if err != nil {
		t.Fatal(err)
	}
	for name, days := range map[string][]calendar.Item{"one-more": {{From: "2127-01-01"}}, "dear": append(dear, calendar.Item{From: "2127-01-01"})} {
		if err := put(name, days...); !errors.Is(err, &domain.Error{Code: calendar.CodeTooLargeTogether}) || !strings.Contains(err.Error(), "UNTIL") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := put("dear", calendar.Item{From: "2127-01-01"}); err != nil {
		t.Errorf("a smaller one: %v", err)
	}
	if _, err := pool.Exec(t.Context(), `delete from tactus.calendars where name like 'dear-%' and name > 'dear-2'`); err != nil {
		t.Fatal(err)
	}
	if err := put("one-more", dear...); err != nil {
		t.Errorf("when there is room: %v", err)
	}
}
