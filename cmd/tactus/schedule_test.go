package main

import (
	"encoding/json"
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

// TestRouteCommands is a session with the API about routes.
func TestRouteCommands(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	server := httptest.NewServer(api.New(pool, "UTC", slog.New(slog.NewTextHandler(t.Output(), nil)), celery.Config{}))
	defer server.Close()
	if _, err := pool.Exec(t.Context(), `select tactus.put_schedule(
		'{"name": "mine", "task_name": "mails.send", "interval_seconds": 60}'::json)`); err != nil {
		t.Fatal(err)
	}
	const moved = `schedules are sent otherwise than before:\s+TASK +SCHEDULES +WHAT CHANGES +NAMES\s+mails\.send +1 +queue: `
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"list -o json", exitOK, `"routes": \[\]`},
		{
			"set feeds.* --queue feeds --priority 3 --expires 60", exitOK,
			`(?s)expires_seconds +60.*pattern +feeds\.\*.*priority +3.*queue +feeds`,
		},
		{"set app/odd%20name? --queue odd", exitOK, `app/odd%20name\?`},
		{"list", exitOK, `(?s)PATTERN +QUEUE.*app/odd%20name\? +odd.*feeds\.\* +feeds +- +- +3 +60`},
		{
			"set feeds.* --priority 256 --expires=-1", exitFailure,
			`(?s)priority_range at --priority.*out_of_range at --expires`,
		},
		{"delete feeds.* --dry-run", exitOK, `(?s)No stored schedule would be sent otherwise.*feeds\.\* is there, and would be deleted`},
		{"delete feeds.*", exitOK, `^the route feeds\.\* is deleted\n$`}, // no stored schedule goes by it
		{"delete feeds.*", exitNotFound, `there is no route "(feeds|mails)\.\*"`},
		{"delete feeds.* --dry-run", exitNotFound, `there is no route "(feeds|mails)\.\*"`},
		{"set mails.* --queue mails --dry-run", exitOK, `queue +mails\s+By this.*would be sent(?s:.*)queue: celery -> mails +mine`},
		{"delete mails.*", exitNotFound, `there is no route "(feeds|mails)\.\*"`},
		{"set mails.* --queue mails", exitOK, moved + `celery -> mails +mine`},
		{"set mails.* --queue mails", exitOK, `^pattern +mails\.\*\s+queue +mails\s+$`},
		{"delete mails.* --dry-run -o json", exitOK, `(?s)"moves": \[.*"names": \[\s+"mine"`},
		{"delete mails.*", exitOK, moved + `mails -> celery +mine`},
		{"list -o json", exitOK, `"pattern": "app/odd%20name\?"`},
	} {
		said := tactus(t, append(strings.Fields("route "+c.args), "--url", server.URL)...)
		if text := said.out + said.problems; said.code != c.code || !regexp.MustCompile(c.want).MatchString(text) {
			t.Errorf("tactus route %s: exit %d: %s", c.args, said.code, text)
		}
	}
}

// TestScheduleCommands is a session with the API, a command after another.
func TestScheduleCommands(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(api.New(testenv.Database(t), "UTC", slog.New(slog.NewTextHandler(t.Output(), nil)),
		celery.Config{}))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "schedule.json")
	if err := os.WriteFile(file,
		[]byte(`{"name":"from file","interval_seconds":90,"task_name":"app.file","tags":["x"]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	numbers := filepath.Join(t.TempDir(), "numbers.json")
	if err := os.WriteFile(numbers, []byte(`{"name":"numbers","interval_seconds":90,"task_name":"app.numbers",`+
		`"args":[1e400,1.0,1e+16]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args string
		code int
		want []string // in this order
	}{
		{"create -f " + numbers, exitOK, []string{"[1e400,1.0,1e+16]"}},
		{"get numbers", exitOK, []string{"[1e400,1.0,1e+16]"}},
		{"get numbers -o json", exitOK, []string{"1e400", "1.0", "1e+16"}},
		{"list", exitOK, []string{"numbers", "every 90 s"}},
		{"delete numbers", exitOK, nil},
		{"create --name nightly --cron=0_3_*_*_* --tz Europe/Berlin --task app.report --kwargs={\"a\":1} --queue q " +
			"--tag x --tag y", exitOK, []string{
			"cron_expression", "0 3 * * *", "enabled", "true", "kwargs", `{"a":1}`,
			"name", "nightly", "next_run_at", "timezone", "Europe/Berlin", "version", "1",
		}},
		{"create -f " + file + " --description over", exitOK, []string{
			"description", "over", "interval_seconds", "90",
			"name", "from file",
		}},
		{"list", exitOK, []string{
			"ID", "NAME", "STATE", "TRIGGER", "from file", "every 90 s", "nightly",
			"0 3 * * *",
		}},
		{"list --tag y -o json", exitOK, []string{`"name": "nightly"`, `"total": 1`}},
		{"list --tags y --tag x --task-name app.report -o json", exitOK, []string{`"name": "nightly"`, `"total": 1`}},
		{"list --tag y --tag z --task app.report -o json", exitOK, []string{`"total": 0`}},
		{"list --task app.other -o json", exitOK, []string{`"total": 0`}},
		{"list --state active", exitOK, []string{"from file", "active", "nightly", "active"}},
		{"list --state completed -o json", exitOK, []string{`"total": 0`}},
		{"list --enabled false -o json", exitOK, []string{`"schedules": []`, `"total": 0`}},
		{"get nightly", exitOK, []string{"app.report"}},
		{"update nightly --every 60 -o json", exitOK, []string{`"version": 2`, `"interval_seconds": 60`}},
		{"disable nightly", exitOK, []string{"enabled", "false"}},
		{"next nightly", exitOK, []string{"nightly has no due times: it is disabled"}},
		{"enable nightly", exitOK, []string{"enabled", "true"}},
		{"next nightly -n 3", exitOK, []string{"T", "T", "T"}},
		{"disable nightly --reason=frozen --until=2199-01-01T00:00", exitOK, []string{
			"enabled", "false", "pause_reason", "frozen", "paused_at", "paused_until", "2198-12-31T23:00:00Z",
		}},
		{"list", exitOK, []string{"HALTED", "paused since 2", "until 2198-12-31T23:00:00Z for frozen"}},
		{"disable nightly --until=2001-01-01T00:00:00Z", exitFailure, []string{"422", "until_in_past at --until"}},
		{"skip nightly", exitConflict, []string{"409", "nothing_due", "disabled", "enable it first"}},
		{"enable nightly -o json", exitOK, []string{`"enabled": true`}},
		{"skip nightly -n 2 --reason=release", exitOK, []string{"skip_reason", "release", "skip_until", "2"}},
		{"list", exitOK, []string{"skips until 2", "for release"}},
		{"skip nightly -n 1001", exitFailure, []string{"422", "out_of_range at --count"}},
		{"skip nightly -n 0", exitOK, []string{"Skips no due time"}},
		{"trigger nightly -o json", exitOK, []string{`"run_id"`}},
		{
			"trigger nightly --args=[7] --kwargs={\"a\":2} --queue other --priority 3 --expires 60 -o json", exitOK,
			[]string{`"run_id"`},
		},
		{"trigger nightly --args={} --priority 256", exitFailure, []string{
			"422", "args_not_list at --args", "priority_range at --priority",
		}},
		{"trigger nightly --args=[1", exitUsage, []string{"--args", "is not JSON"}},
		{"history nightly", exitOK, []string{"DUE_AT", "due", "manual"}},
		{"get nightly -o name", exitOK, []string{"nightly\n"}},
		{"list --tag y -o name", exitOK, []string{"nightly\n"}},
		{"list -o wide", exitOK, []string{"SUCCESS_RATE", "app.report"}},
		{"get nightly -o yaml", exitOK, []string{"name: nightly\n", "tags:\n"}},
		{"update nightly --every 0", exitUsage, []string{"--every 0"}},
		{"update nightly --description told -o yaml", exitOK, []string{"description: told\n"}},
		{"update nightly --description= --disabled -o yaml", exitOK, []string{"description: null\n", "enabled: false\n"}},
		{"update nightly --disabled=false --jitter 0 -o yaml", exitOK, []string{"enabled: true\n"}},
		{"create --name nightly --every 60 --task app.report", exitConflict, []string{"409", "name_taken at --name", "tactus schedule update"}},
		{"delete nightly", exitOK, nil},
		{"get nightly", exitNotFound, []string{`there is no schedule named "nightly"`}},
		{"get 0192f0c1-2345-7abc-8def-0123456789ab", exitNotFound, []string{"404", "not_found"}},
		{"create --name bad --cron=61_*_*_*_* --tz EST", exitFailure, []string{
			"422", "cron_syntax at --cron",
			"timezone_abbreviation at --tz", "task_missing at --task",
		}},
		{"create --name none --task app.t", exitFailure, []string{"trigger_missing", "give one of --cron, --every, --at, --rrule, --preset"}},
		{"create --name both --task app.t --every 60 --at 2199-01-01T00:00", exitFailure, []string{"trigger_ambiguous at --at", "not --every and --at"}},
		{"create --name bad --args=[1", exitUsage, []string{"--args", "is not JSON"}},
		{"create -f " + file + ".none", exitFailure, []string{"no such file"}},
		{
			"preview 30_2_*_*_* --tz America/New_York --after 2026-03-07T12:00:00Z -n 2", exitOK,
			[]string{"2026-03-08T03:00:00-04:00", "2026-03-09T02:30:00-04:00"},
		},
		{"preview 61_*_*_*_*", exitUsage, []string{"cron_syntax"}},
	} {
		args := strings.Fields("schedule " + c.args)
		for i := range args {
			if strings.Contains(args[i], "_*") {
				args[i] = strings.ReplaceAll(args[i], "_", " ") // the words of an expression
			}
		}
		if !strings.HasPrefix(c.args, "preview") {
			args = append(args, "--url", server.URL)
		}
		got := tactus(t, args...)
		if got.code != c.code {
			t.Errorf("%s: exit code %d, want %d: %s%s", c.args, got.code, c.code, got.out, got.problems)
		}
		rest := got.out + got.problems
		for _, want := range c.want {
			_, after, found := strings.Cut(rest, want)
			if !found {
				t.Errorf("%s: there is no %q where it should be, in:\n%s%s", c.args, want, got.out, got.problems)
				break
			}
			rest = after
		}
		if c.want == nil && rest != "" {
			t.Errorf("%s: says %q", c.args, rest)
		}
		if strings.HasSuffix(c.args, "-o json") && !json.Valid([]byte(got.out)) {
			t.Errorf("%s: not JSON: %s", c.args, got.out)
		}
	}
}

func TestNoAPI(t *testing.T) {
	t.Parallel()
	got := tactus(t, "schedule", "list", "--url", "http://127.0.0.1:1")
	if got.code != exitFailure || !strings.Contains(got.problems, "TACTUS_URL") {
		t.Errorf("%+v", got)
	}
}
