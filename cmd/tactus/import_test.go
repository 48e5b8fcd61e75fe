package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestImportCrontabOfThisHost has the lines of a crontab be in the zone of the host, and says so.
func TestImportCrontabOfThisHost(t *testing.T) {
	t.Setenv("TZ", "Pacific/Chatham")
	file := filepath.Join(t.TempDir(), "crontab")
	if err := os.WriteFile(file, []byte("30 9 * * * one\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	said := tactus(t, "import", "crontab", "--task", "app.run", "--database-url", testenv.DatabaseURL(t), file)
	if said.code != exitOK || !strings.Contains(said.problems,
		"the time zone of the lines is Pacific/Chatham, which TZ of this host names") ||
		!regexp.MustCompile(`30 9 \* \* \* Pacific/Chatham +20\d\d-`).MatchString(said.out) {
		t.Errorf("exit %d: %s%s", said.code, said.out, said.problems)
	}
}

// TestImportCommands brings the same crontab in twice, then without one of its lines.
func TestImportCommands(t *testing.T) {
	t.Parallel()
	url := testenv.DatabaseURL(t)
	file := filepath.Join(t.TempDir(), "crontab")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	crontab := []string{
		"import", "crontab", "--task", "app.run", "--celery-timezone", "Asia/Tokyo", "--database-url",
		url, file,
	}
	for _, c := range []struct {
		file string
		args []string
		code int
		want string
	}{
		{
			"0 9 * * * one\n0 8 * * * two\n", append(crontab, "--dry-run"), exitOK,
			`2 new, 0 changed, 0 the same, 0 gone, 0 refused`,
		},
		{"0 9 * * * one\n0 8 * * * two\n", crontab, exitOK, `2 new, 0 changed`},
		{"0 9 * * * one\n0 8 * * * two\n", crontab, exitOK, `0 new, 0 changed, 2 the same`},
		{
			"0 9 * * 9 one\n", crontab, exitFailure,
			`(?s)refused +cron one.*cron_syntax.*1 gone, 1 refused.*tactus: 1 schedule is refused`,
		},
		{
			"30 9 * * * one\n", append(crontab, "--prune", "-o", "json"), exitOK,
			`(?s)"change": "changed".*"change": "gone"`,
		},
		{"30 9 * * * one\n", crontab, exitOK, `0 new, 0 changed, 1 the same, 0 gone`},
		{
			"30 9 * * * one\n", append(crontab, "--accept", "zone,weather"), exitUsage,
			`--accept weather: there is no such kind of difference; the kinds are all, args`,
		},
		{
			"30 9 * * * one\n", append(crontab, "--source", strings.Repeat("long", 30)), exitUsage,
			`--source: .* is longer than 100 characters`,
		},
		{"30 9 * * * one\n", []string{
			"import", "crontab", "--task", "app.run", "--celery-timezone", "JST",
			"--database-url", url, file,
		}, exitUsage, `--celery-timezone: `},
		{
			"30 9 * * * root one\n", crontab, exitFailure,
			`"root", before the command, looks like a user: use --system if it is one, or --no-system`,
		},
		{
			"30 9 * * * root one\n", append(crontab, "--no-system", "--source", "other"), exitOK,
			`1 new, 0 changed, 0 the same, 0 gone`,
		},
		{
			"*/6 * * * * * one\n", append(crontab, "--seconds", "--source", "third"), exitOK,
			`\*/6 \* \* \* \* \* Asia/Tokyo`,
		},
		{
			"",
			[]string{"import", "celery", "--script"},
			exitOK,
			`^"""Prints what the beat of a Celery application would do`,
		},
		{
			"no JSON",
			[]string{"import", "celery", "--database-url", url, file},
			exitUsage,
			`this is not what the script prints`,
		},
		{"", []string{"import", "redbeat", "--database-url", url}, exitUsage, `REDBEAT_REDIS_URL is not set`},
		{
			"",
			[]string{"import", "redbeat", "--database-url", url, "--redbeat-redis-url", testenv.RedisURL(t)},
			exitOK,
			`0 new`,
		},
	} {
		write(c.file)
		said := tactus(t, c.args...)
		if text := said.out + said.problems; said.code != c.code || !regexp.MustCompile(c.want).MatchString(text) {
			t.Errorf("tactus %s: exit %d: %s", strings.Join(c.args, " "), said.code, text)
		}
	}
}

// TestImportRoutesTellsWhatMoves has a stored schedule go elsewhere by the routes of an application.
func TestImportRoutesTellsWhatMoves(t *testing.T) {
	t.Parallel()
	url, file := testenv.DatabaseURL(t), filepath.Join(t.TempDir(), "application.json")
	if err := os.WriteFile(file, []byte(`{"version": 4, "application": "app", "default_queue": "usual", "tasks":
		{"app.a": {"queue": "fast", "priority": 3}}}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := testenv.Connect(t, url).Exec(t.Context(), `select tactus.put_schedule(
		'{"name": "mine", "task_name": "app.a", "interval_seconds": 60}'::json)`); err != nil {
		t.Fatal(err)
	}
	const told = `stored schedules are sent otherwise(?s:.*)app\.a +1 +queue: old -> fast; priority: 0 -> 3 +mine\n`
	args := []string{"import", "routes", "--database-url", url, "--celery-default-queue", "old", file}
	for _, c := range []struct {
		more string
		want string
	}{
		{"--dry-run", told},
		{"--output=json", `(?s)"task_name": "app\.a".*"names": \[\s*"mine"`},
		{"--prune", `same +app\.a +fast +3 +-\s+same +\* +usual +- +-\s*$`},
	} {
		said := tactus(t, append(args, c.more)...)
		if said.code != exitOK || !regexp.MustCompile(c.want).MatchString(said.out) {
			t.Errorf("%s: exit %d: %s%s", c.more, said.code, said.out, said.problems)
		}
	}
}
