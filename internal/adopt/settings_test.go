package adopt_test

import (
	"testing"

	"github.com/tactus-dev/tactus/internal/adopt"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestSettingsOfTheDatabase follows the same rows under settings that an administrator may have made, and finds the
// same.
func TestSettingsOfTheDatabase(t *testing.T) {
	t.Parallel()
	what := func(settings ...string) (rows string) {
		u := newDjango(t)
		u.django(makeTasks)
		for _, s := range settings {
			u.exec(`do $do$ begin execute format('alter database %I set ` + s + `', current_database()); end $do$`)
		}
		u.pool = testenv.Connect(t, u.url) // with them
		u.adopt(u.source("public.django_celery_beat_periodictask", adopt.DjangoCeleryBeat))
		u.exec(`update public.django_celery_beat_periodictask set queue = 'moved' where name like '%n%'`)
		u.exec(`update public.django_celery_beat_intervalschedule set every = 20 where period = 'minutes'`)
		u.exec(`select tactus.adopt_mend(100), mended from tactus.adopt_round(500)`)
		if n := u.count(`select count(*) from tactus.adopt_failures`); n != 0 {
			t.Errorf("%v: %d failures", settings, n)
		}
		u.exec(`set datestyle = 'ISO'`)
		err := u.pool.QueryRow(t.Context(),
			`select string_agg(concat_ws(' ', name, trigger, policy, enabled, invalid_reason,
				definition::jsonb - '{run_at,interval_anchor}'::text[],
			case when name = 'often' then definition->>'interval_anchor' end, version), chr(10) order by name) from tactus.schedules`).Scan(&rows)
		if err != nil {
			t.Fatal(err)
		}
		return rows
	}
	want := what()
	for _, s := range [][]string{
		{
			`standard_conforming_strings = off`, `datestyle = ''German, DMY''`, `intervalstyle = sql_standard`,
			`timezone = ''Asia/Kolkata''`, `extra_float_digits = -15`, `bytea_output = escape`,
		},
		{
			`default_transaction_isolation = serializable`, `search_path = public, pg_catalog`, `row_security = off`,
			`datestyle = ''SQL, MDY''`,
		},
	} {
		if got := what(s...); got != want {
			t.Errorf("%v:\n%s\nwant\n%s", s, got, want)
		}
	}
}
