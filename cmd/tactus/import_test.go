package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/importer"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// TestImportCrontabOfThisHost imports a crontab whose lines are in the host's zone; the command says so.
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

// TestImportCommands imports the same crontab twice, and then without one of its lines.
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
			`"root", before the command, looks like a user, or other lines of the file name one: use --system if it is one, or --no-system`,
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

// TestBlanksMakeNoOtherSource gives the label of a source with blanks around it, and a label of blanks only.
func TestBlanksMakeNoOtherSource(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{"web1:deploy": "web1:deploy", " web1:deploy ": "web1:deploy", "  ": "otherwise", "": "otherwise"} {
		source, err := importFlags{Source: given}.from(importer.Crontab, "otherwise")
		if err != nil || source.Label != want {
			t.Errorf("%q: %q, want %q; %v", given, source.Label, want, err)
		}
	}
}

// TestCrontabsOfStandardInput imports two crontabs from standard input, which has no name. They are refused without
// --source; with a label for each, neither changes nor prunes the other's schedules.
func TestCrontabsOfStandardInput(t *testing.T) {
	t.Parallel()
	url := testenv.DatabaseURL(t)
	crontab := []string{"import", "crontab", "--task", "app.run", "--celery-timezone", "UTC", "--prune", "--database-url", url}
	for _, file := range []string{"-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"} {
		said := tactus(t, append(crontab, file)...)
		if said.code != exitUsage || !strings.Contains(said.problems, file+" does not say which crontab it reads: give --source LABEL") {
			t.Errorf("%s: exit %d: %s%s", file, said.code, said.out, said.problems)
		}
	}
	piped := func(text string) string {
		t.Helper()
		read, write, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = read.Close() })
		if _, err := write.WriteString(text); err != nil {
			t.Fatal(err)
		}
		if err := write.Close(); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("/dev/fd/%d", read.Fd())
	}
	for _, c := range []struct{ source, lines, want string }{
		{"one", "0 9 * * * backup\n0 8 * * * first\n", `2 new, 0 changed, 0 the same, 0 gone`},
		{"two", "0 7 * * * backup\n", `1 new, 0 changed, 0 the same, 0 gone`},
		{"one", "0 9 * * * backup\n0 8 * * * first\n", `0 new, 0 changed, 2 the same, 0 gone`},
		{"two", "0 7 * * * backup\n", `0 new, 0 changed, 1 the same, 0 gone`},
	} {
		said := tactus(t, append(crontab, "--source", c.source, piped(c.lines))...)
		if said.code != exitOK || !strings.Contains(said.out, c.want) ||
			!strings.Contains(said.problems, "the tag of what comes from here is import:crontab:"+c.source+"\n") {
			t.Errorf("%s: exit %d: %s%s", c.source, said.code, said.out, said.problems)
		}
	}
}

// TestImportTellsTheQueue checks that the output says of each line of a crontab to which queue it goes, and why.
func TestImportTellsTheQueue(t *testing.T) {
	t.Parallel()
	url, file := testenv.DatabaseURL(t), filepath.Join(t.TempDir(), "crontab")
	if err := os.WriteFile(file, []byte("0 9 * * * one\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	pool := testenv.Connect(t, url)
	sent := func() (queue string) {
		t.Helper()
		if err := pool.QueryRow(t.Context(), `select coalesce(definition->>'queue', '') from tactus.schedules where deleted_at is null`).Scan(&queue); err != nil {
			t.Fatal(err)
		}
		return queue
	}
	crontab := []string{"import", "crontab", "--task", "app.run", "--celery-timezone", "UTC", "--database-url", url, file}
	for _, c := range []struct {
		flags string
		want  string
		route string // of all tasks, from then on
	}{
		{"--dry-run", `Z +celery \(default\) *\n`, ""},
		{"--dry-run --celery-default-queue usual", `Z +usual \(default\) *\n`, ""},
		{"--dry-run", `Z +routed \(route\) *\n`, "routed"},
		{"--dry-run --queue own -o json", `"queue": "own",\s+"queue_by": "schedule"`, ""},
		{"--queue own", `Z +own *\n`, ""},
		{"--queue own", `same .*Z +own *\n`, ""},
		{"--queue other", `changed .*Z +other +queue: "own" -> "other"`, ""},
		{"--queue " + strings.Repeat("q", 300), `refused.*/queue`, ""},
	} {
		if c.route != "" {
			if _, err := outbox.PutRoute(t.Context(), pool, domain.Route{Pattern: "*", Queue: c.route}, "", nil); err != nil {
				t.Fatal(err)
			}
		}
		said := tactus(t, append(crontab, strings.Fields(c.flags)...)...)
		if !regexp.MustCompile(c.want).MatchString(said.out) {
			t.Errorf("%s: exit %d: %s%s", c.flags, said.code, said.out, said.problems)
		}
	}
	if queue := sent(); queue != "other" {
		t.Errorf("it goes to %q", queue)
	}
}

// TestImportRoutesTellsWhatMoves imports an application's routes, which send a stored schedule to another queue.
func TestImportRoutesTellsWhatMoves(t *testing.T) {
	t.Parallel()
	url, file := testenv.DatabaseURL(t), filepath.Join(t.TempDir(), "application.json")
	if err := os.WriteFile(file, []byte(`{"version": 6, "application": "app", "default_queue": "usual", "tasks":
		{"app.a": {"queue": "fast", "priority": 3}, "app.b": {"exchange": "ex", "routing_key": "a.b"}}}`), 0o644); err != nil {
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
		{"--prune", `same +app\.a +fast +3 +-\s+same +app\.b +ex/a\.b +- +-\s+same +\* +usual +- +-\s*$`},
	} {
		said := tactus(t, append(args, c.more)...)
		if said.code != exitOK || !regexp.MustCompile(c.want).MatchString(said.out) {
			t.Errorf("%s: exit %d: %s%s", c.more, said.code, said.out, said.problems)
		}
	}
}

// TestApplicationsOfOneName imports two applications of one name, in two directories of a host. Neither changes or
// prunes the other's schedules, in whichever order they come.
func TestApplicationsOfOneName(t *testing.T) {
	t.Parallel()
	url := testenv.DatabaseURL(t)
	const app = `
import celery
app = celery.Celery("app", broker="redis://localhost:1/0", backend="redis://localhost:1/1")
app.conf.beat_schedule = {"daily": {"task": "app.a", "schedule": 60}}
`
	files := map[string]string{}
	for _, name := range []string{"one", "two", "before"} {
		printed := testenv.BesideCelery(t, app, importer.Script, []string{"app:app"})
		if name == "before" {
			printed = []byte(`{"version": 6, "application": "app:app"}`)
		}
		files[name] = filepath.Join(t.TempDir(), "application.json")
		if err := os.WriteFile(files[name], printed, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"celery one", exitOK, `1 new`},
		{"celery one --prune", exitOK, `0 new, 0 changed, 1 the same, 0 gone`},
		{"celery two", exitUsage, `what came from (app:app@.*) is here already: give --source "app:app@.*" if this is the same`},
		{"routes two", exitUsage, `what came from (app:app@.*) is here already: give --source`},
		{"celery before", exitUsage, `what came from (app:app@.*) is here already: give --source`},
		{"celery two --prune --source other", exitOK, `new +daily \[other\](?s:.*)1 new, 0 changed, 0 the same, 0 gone`},
		{"celery one --prune --accept all", exitOK, `1 the same, 0 gone`},
	} {
		args := strings.Fields(c.args)
		args[1] = files[args[1]]
		said := tactus(t, append(append([]string{"import"}, args...), "--database-url", url)...)
		if text := said.out + said.problems; said.code != c.code || !regexp.MustCompile(c.want).MatchString(text) {
			t.Errorf("%s: exit %d: %s", c.args, said.code, text)
		}
	}
}

// TestPrefixesOfRedBeat imports two applications that keep their entries in one database of Redis, under different
// prefixes.
func TestPrefixesOfRedBeat(t *testing.T) {
	t.Parallel()
	url, redis := testenv.DatabaseURL(t), testenv.RedisURL(t)
	client := testenv.Client(t, redis)
	for _, prefix := range []string{"redbeat:", "other:"} {
		client.HSet(t.Context(), prefix+"daily", "definition", `{"name": "daily", "task": "app.a", "options": {"queue": "q"},
			"schedule": {"__type__": "interval", "every": 60}}`)
		client.ZAdd(t.Context(), prefix+":schedule", goredis.Z{Member: prefix + "daily"})
	}
	for _, c := range []struct{ prefix, want string }{
		{"other:", `new +daily .*(?s:.*)1 new, 0 changed, 0 the same, 0 gone`},
		{"redbeat:", `new +daily \[.*(?s:.*)1 new, 0 changed, 0 the same, 0 gone`},
		{"redbeat:", `0 new, 0 changed, 1 the same, 0 gone`},
		{"other:", `0 new, 0 changed, 1 the same, 0 gone`},
		{"third:", `what came from .* is here already: give --source`},
	} {
		said := tactus(t, "import", "redbeat", "--prune", "--celery-timezone", "UTC", "--database-url", url,
			"--redbeat-redis-url", redis, "--redbeat-key-prefix", c.prefix)
		if text := said.out + said.problems; !regexp.MustCompile(c.want).MatchString(text) {
			t.Errorf("%s: exit %d: %s", c.prefix, said.code, text)
		}
	}
	for prefix, want := range map[string]string{
		"other:": `^daily\n1 entry now says`, "third:": `nothing was imported from .*@third:, but from .*: name the source by --source`,
	} {
		client.HSet(t.Context(), prefix+"daily", "meta", `{"last_run_at": null}`)
		if _, err := testenv.Connect(t, url).Exec(t.Context(), `insert into tactus.runs (id, schedule_id, due_at, kind, status, schedule_version, fired_at)
			select gen_random_uuid(), id, clock_timestamp(), 'scheduled', 'sent', 1, clock_timestamp() from tactus.schedules where name = 'daily'`); err != nil {
			t.Fatal(err)
		}
		said := tactus(t, "export", "redbeat", "--database-url", url, "--redbeat-redis-url", redis, "--redbeat-key-prefix", prefix)
		if text := said.out + said.problems; !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("export to %s: exit %d: %s", prefix, said.code, text)
		}
	}
}

// TestPruneOfAnEmptySource imports an input that is empty by mistake: what came from there before stays, unless
// --prune-all says that it is to be deleted.
func TestPruneOfAnEmptySource(t *testing.T) {
	t.Parallel()
	url, redis, dir := testenv.DatabaseURL(t), testenv.RedisURL(t), t.TempDir()
	file := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	client := testenv.Client(t, redis)
	client.HSet(t.Context(), "redbeat:daily", "definition", `{"name": "daily", "task": "app.a", "options": {"queue": "q"},
		"schedule": {"__type__": "interval", "every": 60}}`)
	client.ZAdd(t.Context(), "redbeat::schedule", goredis.Z{Member: "redbeat:daily"})
	crontab := file("crontab", "0 9 * * * one\n0 8 * * * two\n")
	full := file("full", `{"version": 6, "application": "app", "default_queue": "usual", "tasks": {"app.a": {"queue": "fast"}},
		"schedules": [{"name": "tick", "task": "app.a", "schedule": 60, "message": {"queue": "q", "args": "[]", "kwargs": "{}"}}]}`)
	bare := file("bare", `{"version": 6, "application": "app", "default_queue": "usual", "tasks": {"celery.backend_cleanup": {"queue": "q"}}}`)
	sources := []struct {
		name, full string
		empty      func() []string // the command's argument when the source is empty
		gone       string
	}{
		{"crontab --task app.run --source cron", crontab, func() []string { return []string{os.DevNull} }, "2 schedules"},
		{"crontab --task app.run --source cron", crontab, func() []string { return []string{file("notes", "# nothing\nTZ=UTC\n")} }, "2 schedules"},
		{"crontab --task app.run --source cron", crontab, func() []string { return []string{file("wrong", "0 9 * * 9 three\n")} }, "2 schedules"},
		{"celery --accept all", full, func() []string { return []string{bare} }, "1 schedule"},
		{"routes", full, func() []string { return []string{bare} }, "1 route"},
		{"redbeat --redbeat-redis-url " + redis, "", func() []string { client.FlushDB(t.Context()); return nil }, "1 schedule"},
	}
	run := func(command string, more ...string) said {
		t.Helper()
		args := append(append([]string{"import"}, strings.Fields(command)...), "--database-url", url)
		if !strings.HasPrefix(command, "routes") {
			args = append(args, "--celery-timezone", "UTC")
		}
		return tactus(t, append(args, more...)...)
	}
	for _, s := range sources {
		var arguments []string
		if s.full != "" {
			arguments = []string{s.full}
		}
		if got := run(s.name, arguments...); got.code != exitOK {
			t.Fatalf("%s: exit %d: %s%s", s.name, got.code, got.out, got.problems)
		}
		arguments = s.empty()
		for _, c := range []struct {
			flags []string
			want  string
		}{
			{[]string{"--prune", "--dry-run"}, "--prune would delete " + s.gone + ", and nothing from this source would be left: give --prune-all"},
			{[]string{"--prune"}, "--prune would delete " + s.gone + ","},
			{nil, `(?m)^gone `},
			{[]string{"--prune-all"}, `(?m)^gone `},
		} {
			got := run(s.name, append(c.flags, arguments...)...)
			if text := got.out + got.problems; !regexp.MustCompile(c.want).MatchString(text) {
				t.Errorf("%s %v: exit %d: %s, want %s", s.name, c.flags, got.code, text, c.want)
			}
		}
		if got := run(s.name, append([]string{"--prune"}, arguments...)...); regexp.MustCompile(`(?m)^gone `).MatchString(got.out) {
			t.Errorf("%s: there is still something: %s", s.name, got.out)
		}
	}
}

// TestImportOfAnEmptyPipe has a command before the pipe that fails, and lines of a crontab that are in another zone.
func TestImportOfAnEmptyPipe(t *testing.T) {
	t.Parallel()
	importing := []string{"import", "crontab", "--task", "app.run", "--celery-timezone", "Asia/Tokyo", "--database-url", testenv.DatabaseURL(t)}
	got := tactus(t, append(importing, "--source", "pipe", "-")...) // the standard input of tests is empty
	if got.code != exitFailure || !strings.Contains(got.problems, "nothing came on standard input") || strings.Contains(got.out, "0 new") {
		t.Errorf("%d %s%s", got.code, got.out, got.problems)
	}
	file := filepath.Join(t.TempDir(), "crontab")
	for text, want := range map[string]bool{
		"CRON_TZ=America/New_York\n0 9 * * * one\n0 8 * * * two\nCRON_TZ=UTC\n0 9 * * * three\n": true, "CRON_TZ=Asia/Tokyo\n0 9 * * * one\n": false,
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got := tactus(t, append(importing, "--dry-run", file)...)
		if told := strings.Contains(got.problems, "CRON_TZ puts lines in the time zone America/New_York, UTC, and tactus takes them so; the cron of Debian"); got.code != exitOK || told != want {
			t.Errorf("%q: %d, told: %v: %s", text, got.code, told, got.problems)
		}
	}
}
