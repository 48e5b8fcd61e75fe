package main

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestAdoptCommands does what a team does whose service has a table of schedules: look, adopt, look again, go back.
func TestAdoptCommands(t *testing.T) {
	t.Parallel()
	url := testenv.DatabaseURL(t)
	pool := testenv.Connect(t, url)
	_, err := pool.Exec(t.Context(),
		`create table public.celery_beat_schedules (id uuid primary key, name text, task_name text,
			cron_expression text, enabled boolean);
		insert into celery_beat_schedules values ('019ca93d-4000-7000-8000-00000000002a', 'sundays', 'app.a', '0 9 * * 7', true)`)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
		want string // pattern of what is printed
	}{
		{
			[]string{"adopt", "--table", "celery_beat_schedules", "--dry-run", "--accept", "queue"},
			exitOK,
			`new +sundays +0 9 \* \* 7 UTC +\S+T09:00:00Z +never +Celery's beat never runs it .*\n\n1 new, 0 changed, 0 gone, 0 the same`,
		},
		{
			[]string{"adopt", "--table", "celery_beat_schedules"},
			exitFailure,
			`only the application knows where its task goes: tactus sends it to celery(?s:.*)1 row would not run as before \("sundays"\)`,
		},
		{
			[]string{"adopt", "--table", "celery_beat_schedules", "--accept", "queue"},
			exitOK,
			`1 new(?s:.*)tactus now follows public.celery_beat_schedules`,
		},
		{
			[]string{"adopt", "--table", "celery_beat_schedules", "-o", "json"},
			exitOK,
			`"change": "same"(?s:.*)"code": "celery_refuses"`,
		},
		{[]string{"unadopt", "--table", "celery_beat_schedules"}, exitOK, `1 schedule was deleted here`},
		{
			[]string{"adopt", "--django-celery-beat"},
			exitFailure,
			`there is no table public.django_celery_beat_periodictask`,
		},
		{[]string{"adopt"}, exitUsage, `--table`},
		{[]string{"adopt", "--table", "t", "--django-celery-beat"}, exitUsage, `--table`},
	} {
		var out bytes.Buffer
		if code := run(append(c.args, "--database-url", url), &out, &out); code != c.code ||
			!regexp.MustCompile(c.want).MatchString(out.String()) {
			t.Errorf("tactus %s: exit %d: %s", strings.Join(c.args, " "), code, out.String())
		}
	}
}
