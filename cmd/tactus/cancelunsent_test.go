package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestCancelUnsent goes back to each kind of old beat while a run has not been handed over. The command refuses, and
// changes nothing. With --cancel-unsent it cancels the run, and the last run that it writes for the old beat is before
// the cancelled one, so that the old beat runs this one itself.
func TestCancelUnsent(t *testing.T) {
	t.Parallel()
	due := time.Now().UTC().Truncate(time.Hour).Add(-time.Hour)
	hourly := fmt.Sprintf(`{"version": 6, "application": "app", "timezone": "UTC", "default_queue": "celery", "made_at": %q, "schedules":
		[{"name": "hourly", "task": "app.a", "timezone": "UTC", "schedule": {"__type__": "crontab", "minute": "0", "hour": "*", "day_of_week": "*",
		"day_of_month": "*", "month_of_year": "*"}, "message": {"queue": "celery", "args": "[]", "kwargs": "{}"}}]}`,
		time.Now().UTC().Format(time.RFC3339))
	for kind, prepare := range map[string]func(t *testing.T, url, redis string) (moveIn, goBack []string, check func(out string)){
		"django": func(t *testing.T, url, _ string) (moveIn, goBack []string, check func(string)) {
			pool := testenv.Connect(t, url)
			if _, err := pool.Exec(t.Context(), strings.ReplaceAll(djangoTables, `('0', '9', '7'`, `('0', '*', '*'`)); err != nil {
				t.Fatal(err)
			}
			return []string{"adopt", "--django-celery-beat", "--naive-timezone", "UTC", "--accept", "queue"}, []string{"unadopt", "--django-celery-beat"}, func(string) {
				var last *time.Time
				var runs int
				if err := pool.QueryRow(t.Context(), `select last_run_at, total_run_count from public.django_celery_beat_periodictask`).Scan(&last, &runs); err != nil ||
					last != nil && !last.Before(due) || runs != 0 {
					t.Errorf("the row says %v, %d, %v", last, runs, err)
				}
			}
		},
		"redbeat": func(t *testing.T, _, redis string) (moveIn, goBack []string, check func(string)) {
			client := testenv.Client(t, redis)
			before := due.Add(-time.Hour)
			client.HSet(t.Context(), "redbeat:hourly", "definition", `{"name": "hourly", "task": "app.a", "options": {"queue": "celery"},
				"schedule": {"__type__": "crontab", "minute": "0", "hour": "*"}, "enabled": true}`, "meta", fmt.Sprintf(`{"last_run_at": {"__type__": "datetime",
				"year": %d, "month": %d, "day": %d, "hour": %d, "minute": 0, "second": 0, "microsecond": 0, "timezone": "UTC"}, "total_run_count": 3}`,
				before.Year(), before.Month(), before.Day(), before.Hour()))
			client.ZAdd(t.Context(), "redbeat::schedule", goredis.Z{Member: "redbeat:hourly"})
			from := []string{"redbeat", "--redbeat-redis-url", redis, "--source", "r", "--celery-timezone", "UTC"}
			return append(append([]string{"import"}, from...), "--accept", "overdue"), append([]string{"export"}, from...), func(string) {
				if meta := client.HGet(t.Context(), "redbeat:hourly", "meta").Val(); !regexp.MustCompile(fmt.Sprintf(`"hour": ?%d,`, before.Hour())).MatchString(meta) {
					t.Errorf("the entry says %s, want it to have run last at %s", meta, before)
				}
			}
		},
		"celery": func(t *testing.T, _, _ string) (moveIn, goBack []string, check func(string)) {
			file := filepath.Join(t.TempDir(), "application.json")
			if err := os.WriteFile(file, []byte(hourly), 0o644); err != nil {
				t.Fatal(err)
			}
			return []string{"import", "celery", "--accept", "instants", file}, []string{"export", "celery"}, func(out string) {
				want := `"settled": "` + due.Add(-time.Microsecond).Format("2006-01-02T15:04:05.000000") + `+00:00"`
				if !strings.Contains(out, want) || strings.Contains(out, `"last_run_at"`) {
					t.Errorf("%s, want %s and no last run", out, want)
				}
			}
		},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			url, redis := testenv.DatabaseURL(t), testenv.RedisURL(t)
			moveIn, goBack, check := prepare(t, url, redis)
			to := func(args []string, more ...string) said {
				return tactus(t, append(append(args[:len(args):len(args)], more...), "--database-url", url)...)
			}
			if said := to(moveIn); said.code != exitOK {
				t.Fatalf("tactus %s: %d: %s%s", strings.Join(moveIn, " "), said.code, said.out, said.problems)
			}
			pool := testenv.Connect(t, url)
			const fired = `with since as (update tactus.schedules set effective_from = $1::timestamptz - interval '1 day',
					created_at = $1::timestamptz - interval '1 day' returning id),
				beat as (insert into tactus.leases (name, holder, epoch, expires_at, watermark)
					values ('beat', 'a', 1, clock_timestamp(), clock_timestamp()))
				insert into tactus.runs (id, schedule_id, due_at, kind, status, schedule_version, fired_at)
				select gen_random_uuid(), id, $1, 'scheduled', 'due', 1, $1 from since`
			if done, err := pool.Exec(t.Context(), fired, due); err != nil || done.RowsAffected() != 1 {
				t.Fatalf("%s, %v", done, err)
			}
			status := func() (status string) {
				if err := pool.QueryRow(t.Context(), `select status from tactus.runs`).Scan(&status); err != nil {
					t.Fatal(err)
				}
				return status
			}
			if said := to(goBack); said.code != exitFailure || status() != "due" ||
				!strings.Contains(said.problems, "--cancel-unsent") || !regexp.MustCompile(`\(1, of (hourly|sundays)\)`).MatchString(said.problems) {
				t.Fatalf("tactus %s: %d: %s%s; the run is %s", strings.Join(goBack, " "), said.code, said.out, said.problems, status())
			}
			said := to(goBack, "--cancel-unsent")
			if said.code != exitOK || status() != "revoked" {
				t.Fatalf("with --cancel-unsent: %d: %s%s; the run is %s", said.code, said.out, said.problems, status())
			}
			check(said.out)
		})
	}
}
