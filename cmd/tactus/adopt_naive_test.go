package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestAdoptionsOfTimesWithoutZones adopts the tables of a Django project with USE_TZ = False and goes back. A flag or
// the script's output says how the project's beat reads times without zones; with neither, unadopt asks for it.
func TestAdoptionsOfTimesWithoutZones(t *testing.T) {
	t.Parallel()
	url := testenv.DatabaseURL(t)
	pool := testenv.Connect(t, url)
	if _, err := pool.Exec(t.Context(), djangoTables+`;
		insert into public.django_celery_beat_clockedschedule (clocked_time) values ('2100-01-01 09:00+08');
		insert into public.django_celery_beat_periodictask (name, task, clocked_id, one_off) values ('later', 'app.a', 1, true)`); err != nil {
		t.Fatal(err)
	}
	application := func(naive string) string {
		file := filepath.Join(t.TempDir(), "application.json")
		text := `{"version": 6, "application": "app", "timezone": "UTC", "default_queue": "celery", "creates_queues": true,
			"tasks": {"app.a": {"queue": "celery"}}, "naive_timezone": ` + naive + `}`
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return file
	}
	shanghai, aware, unknown := application(`"Asia/Shanghai"`), application(`"UTC"`), application(`null`)
	const misread = `later .*2100-01-01T01:00:00Z +2100-01-01T09:00:00Z +Celery's beat takes local times of Asia/Shanghai for UTC`
	const asks = `it is not known how the beat of public.django_celery_beat_periodictask reads last_run_at: give --naive-timezone UTC`
	for _, c := range []struct {
		args string
		code int
		want string // pattern of what is printed
		kept string // what the adoption knows afterwards
	}{
		{"adopt --dry-run --accept queue", exitOK, `later .*2100-01-01T01:00:00Z +2100-01-01T01:00:00Z(?s:.*)USE_TZ = True is not known`, "none"},
		{"adopt --dry-run --naive-timezone Asia/Shanghai --accept queue", exitOK, misread, "none"},
		{"adopt --dry-run --application " + shanghai, exitFailure, misread + `(?s:.*)--accept celery_refuses,instants`, "none"},
		{"adopt --dry-run --naive-timezone=", exitUsage, `--naive-timezone: it is empty: give TIME_ZONE`, "none"},
		{"adopt --dry-run --naive-timezone CET", exitUsage, `Europe/Brussels, which has the same clocks`, "none"},
		{"unadopt --naive-timezone=", exitUsage, `--naive-timezone: it is empty: give TIME_ZONE`, "none"},
		{"adopt --accept queue", exitOK, `USE_TZ = True is not known(?s:.*)now follows`, ""},
		{"unadopt", exitUsage, asks, ""},
		{"adopt --application " + unknown + " --accept all", exitOK, `now follows`, ""},
		{"unadopt", exitUsage, asks, ""},
		{"adopt --application " + shanghai + " --accept all", exitOK, `now follows`, "Asia/Shanghai"},
		{"adopt --accept queue", exitOK, misread + `(?s:.*)now follows`, "Asia/Shanghai"}, // as it was told before
		{"unadopt", exitOK, `2 schedules were deleted here`, "none"},
		{"adopt --application " + aware + " --accept celery_refuses", exitOK, `now follows`, "UTC"},
		{"unadopt", exitOK, `2 schedules were deleted here`, "none"},
		{"adopt --accept queue", exitOK, `now follows`, ""},
		{"unadopt --naive-timezone America/New_York", exitOK, `2 schedules were deleted here`, "none"},
	} {
		said := tactus(t, append(strings.Fields(c.args), "--django-celery-beat", "--database-url", url)...)
		if text := said.out + said.problems; said.code != c.code || !regexp.MustCompile(c.want).MatchString(text) {
			t.Fatalf("tactus %s: exit %d: %s", c.args, said.code, text)
		}
		var kept string
		if err := pool.QueryRow(t.Context(), `select coalesce((select coalesce(naive_timezone, '') from tactus.adoptions), 'none')`).Scan(&kept); err != nil ||
			kept != c.kept {
			t.Fatalf("after tactus %s the adoption knows %q, %v, want %q", c.args, kept, err, c.kept)
		}
	}
}
