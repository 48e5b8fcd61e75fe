package main

import (
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/internal/api"
	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/testenv"
)

const djangoTables = `
create table public.django_celery_beat_crontabschedule (id serial primary key, minute varchar(240), hour varchar(96), day_of_week varchar(64),
	day_of_month varchar(124), month_of_year varchar(64), timezone varchar(63));
create table public.django_celery_beat_intervalschedule (id serial primary key, every int, period varchar(24));
create table public.django_celery_beat_clockedschedule (id serial primary key, clocked_time timestamptz);
create table public.django_celery_beat_solarschedule (id serial primary key, event varchar(24), latitude numeric, longitude numeric);
create table public.django_celery_beat_periodictask (id serial primary key, name varchar(200) unique, task varchar(200), args text default '[]',
	kwargs text default '{}', headers text default '{}', queue varchar(200), exchange varchar(200), routing_key varchar(200), priority int,
	expires timestamptz, expire_seconds int, one_off boolean default false, start_time timestamptz, enabled boolean default true,
	last_run_at timestamptz, total_run_count int default 0, date_changed timestamptz default now(), description text default '',
	crontab_id int, interval_id int, clocked_id int, solar_id int);
insert into public.django_celery_beat_crontabschedule (minute, hour, day_of_week, day_of_month, month_of_year, timezone) values ('0', '9', '7', '*', '*', 'UTC');
insert into public.django_celery_beat_periodictask (name, task, crontab_id) values ('sundays', 'app.a', 1)`

// TestAfternoon runs the commands of docs/migrate-from-celery-beat.md, each on an empty database with a table of each
// kind, and the script beside Celery.
func TestAfternoon(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/migrate-from-celery-beat.md")
	if err != nil {
		t.Fatal(err)
	}
	url, redis, application := testenv.DatabaseURL(t), testenv.RedisURL(t),
		filepath.Join(t.TempDir(), "application.json")
	script := tactus(t, "import", "celery", "--script")
	printed := testenv.BesideCelery(t, `
import celery
app = celery.Celery("app", broker="redis://localhost:1/0", backend="redis://localhost:1/1")
app.conf.task_default_queue = "usual"
app.conf.task_routes = {"app.*": "fast"}
app.conf.beat_schedule = {"tick": {"task": "app.tick", "schedule": 60}}
`, script.out, []string{"app:app"})
	// as the script prints it of a Django project with USE_TZ = True
	printed = regexp.MustCompile(`"naive_timezone": null`).ReplaceAll(printed, []byte(`"naive_timezone": "UTC"`))
	if err := os.WriteFile(application, printed, 0o644); err != nil {
		t.Fatal(err)
	}
	pool := testenv.Connect(t, url)
	if _, err := pool.Exec(t.Context(), djangoTables+`;
		create table public.celery_beat_schedules (id uuid primary key, name text, task_name text, cron_expression text, enabled boolean)`); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{ // what a command prints
		"migrate": `schema version`,
		"adopt --django-celery-beat --dry-run --application application.json":                   `new +sundays .*Celery's beat never runs it(?s:.*)--accept celery_refuses`,
		"adopt --table celery_beat_schedules --dry-run --application application.json":          `0 new`,
		"import redbeat --redbeat-redis-url redis://host:6379/0 --application application.json": `0 new`,
		"import celery --script":                                       `Prints what the beat of a Celery application would do`,
		"import routes application.json":                               `new +\* +usual`,
		"import crontab --task app.run_command --source web1:deploy -": `new +cron backup .* fast \(route\)(?s:.*)is import:crontab:web1:deploy\n`,
		"export celery":                                                `(?s)"source": "app:app@.*schedules? came from`,
		"export redbeat --redbeat-redis-url redis://host:6379/0":       `0 entries now say when they ran last`,
		"import celery application.json":                               `new +tick .* fast (?s:.*)the tag of what comes from here is import:celery:app:app@`,
		"api":                                                          ``,
		"adopt --django-celery-beat --application application.json":    `tactus now follows`,
		"beat --beat-shadow":                                           ``,
		"shadow report --since 24h":                                    `No process has watched(?s:.*)Nothing could be compared`,
		"relay":                                                        ``,
		"beat":                                                         ``,
		"unadopt --django-celery-beat":                                 `1 schedule was deleted here`,
		"schedule bulk disable --tag 'import:celery:LABEL' --group going-back": `tick +done(?s:.*)1 schedules done`,
		"schedule bulk delete --tag 'import:celery:LABEL'":                     `tick +done(?s:.*)1 schedules done`,
		"route list":           `app\.\* .*import:celery:app:app@`,
		"route delete 'app.*'": `the route app\.\* is deleted`,
	}
	crontab := filepath.Join(t.TempDir(), "crontab")
	if err := os.WriteFile(crontab, []byte("0 9 * * * backup\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(api.New(pool, "UTC", slog.New(slog.NewTextHandler(t.Output(), nil)), celery.Config{}))
	defer server.Close()
	label := "" // of the application, as its import tells it
	for _, block := range regexp.MustCompile(`(?m)^    .*$`).FindAllString(string(page), -1) {
		for _, found := range regexp.MustCompile(`tactus ([^&|>#]*)`).FindAllStringSubmatch(block, -1) {
			command := strings.TrimSpace(found[1])
			pattern, known := want[command]
			delete(want, command)
			switch {
			case !known:
				t.Errorf("nobody knows what %q prints", command)
				continue
			case pattern == "": // what runs on, or reads what is piped: it is understood
				if said := tactus(t, append(strings.Fields(command), "--help")...); said.code != exitOK {
					t.Errorf("tactus %s: %s", command, said.problems)
				}
				continue
			}
			args := strings.Fields(strings.NewReplacer("redis://host:6379/0", redis, "application.json",
				application, "web1:deploy -", "web1:deploy "+crontab, "LABEL", label, "'", "").Replace(command))
			switch first, _, _ := strings.Cut(command, " "); {
			case first == "schedule" || first == "route":
				args = append(args, "--url", server.URL)
			case !strings.Contains(command, "--script"):
				args = append(args, "--database-url", url)
			}
			code := exitOK
			switch {
			case strings.HasPrefix(command, "shadow report"):
				code = exitFailure // there is nothing yet to agree about
			case strings.HasPrefix(command, "adopt --django-celery-beat --dry-run"):
				code = exitFailure // 7 for Sunday is refused
			case strings.HasPrefix(command, "adopt --django-celery-beat"): // and mended in the table
				if _, err := pool.Exec(t.Context(),
					`update public.django_celery_beat_crontabschedule set day_of_week = '0'`); err != nil {
					t.Fatal(err)
				}
			}
			said := tactus(t, args...)
			if said.code != code || !regexp.MustCompile(pattern).MatchString(said.out+said.problems) {
				t.Errorf("tactus %s: exit %d: %s%s", command, said.code, said.out, said.problems)
			}
			if told := regexp.MustCompile(`is import:celery:(\S+)\n`).FindStringSubmatch(said.problems); told != nil {
				label = told[1]
			}
		}
	}
	for command := range want {
		t.Errorf("the page does not have one run %q", command)
	}
}
