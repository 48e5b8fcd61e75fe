package main

import (
	"encoding/json"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/api"
	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// asCode is an API of the test's own, and a folder with files that describe what the API should have.
type asCode struct {
	*testing.T
	url, dir string
}

func newAsCode(t *testing.T) asCode {
	t.Helper()
	server := httptest.NewServer(api.New(testenv.Database(t), "Asia/Tokyo", slog.New(slog.NewTextHandler(t.Output(), nil)), celery.Config{}))
	t.Cleanup(server.Close)
	return asCode{t, server.URL, t.TempDir()}
}

func (a asCode) write(name, text string) {
	a.Helper()
	path := filepath.Join(a.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		a.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		a.Fatal(err)
	}
}

// says runs a command, and checks its exit code and what it prints.
func (a asCode) says(code int, want, args string) said {
	a.Helper()
	got := tactus(a.T, append(strings.Fields(args), "--url="+a.url)...)
	if got.code != code || !regexp.MustCompile(want).MatchString(got.out+got.problems) {
		a.Errorf("tactus %s: %d, want %d and %s\n%s%s", args, got.code, code, want, got.out, got.problems)
	}
	return got
}

const manifest = `# what the shop runs
schedules:
  - name: report
    cron_expression: "30 9 * * mon-fri"
    task_name: app.report
    kwargs: &who {to: sales, since: 2026-01-01, share: 0.10, big: 12345678901234567890}
    tags: [reports]
    exclude_calendars: [closed]
  - name: sync
    interval_seconds: 300
    task_name: app.sync
    kwargs: {<<: *who, to: stock}
calendars:
  - name: closed
    description: Tokyo
    days: [2127-01-01, {from: 2127-05-03, to: 2127-05-05}]
---
routes:
  - pattern: app.*
    queue: shop
`

// TestApply applies a folder, changes it, and removes something from it.
func TestApply(t *testing.T) {
	t.Parallel()
	a := newAsCode(t)
	a.write("shop/all.yaml", manifest)
	apply := "apply -f " + a.dir + " --source shop"
	a.says(exitFailure, `(?s)\+ calendar closed +\(.*all.yaml:14\).*\+ route app\.\*.*\+ schedule report .*all.yaml:3\)`, apply+" --diff")
	a.says(exitOK, `(?s)would create calendar closed.*dry run: 4 to create, 0 to change, 0 to delete, 0 unchanged; nothing was changed`, apply+" --dry-run")
	a.says(exitOK, `"schedules": \[\]`, "schedule list -o json")
	a.says(exitOK, `4 created, 0 changed, 0 deleted, 0 unchanged`, apply)
	for range 2 { // it is idempotent
		if again := a.says(exitOK, `0 created, 0 changed, 0 deleted, 4 unchanged`, apply+" --prune"); again.out != "" {
			t.Errorf("it says %q", again.out)
		}
		a.says(exitOK, `^$`, apply+" --diff --prune")
	}
	a.says(exitOK, `(?s)"version": 1,.*"since": "2026-01-01".*"share": 0.10.*"big": 12345678901234567890|"big": 12345678901234567890`, "schedule get report -o json")
	a.says(exitOK, `"to": "stock"`, "schedule get sync -o json")

	a.says(exitOK, `paused`, "schedule disable sync --reason stocktaking")
	a.says(exitOK, `0 changed, 0 deleted, 4 unchanged`, apply) // what somebody has paused stays paused
	a.write("shop/all.yaml", strings.Replace(strings.Replace(manifest, "300", "600", 1), "2127-01-01,", "", 1))
	a.says(exitFailure, `(?s)~ calendar closed.*- days: .*2127-01-01.*~ schedule sync.*- interval_seconds: 300\n  \+ interval_seconds: 600`, apply+" --diff")
	a.says(exitOK, `(?s)changed calendar closed.*changed schedule sync.*0 created, 2 changed, 0 deleted, 2 unchanged`, apply)
	a.says(exitOK, `"enabled": false`, "schedule get sync -o json")

	a.says(exitOK, `name +foreign`, "schedule create --name foreign --every 60 --task app.foreign")
	a.write("shop/all.yaml", "schedules:\n- {name: sync, interval_seconds: 600, task_name: app.sync, kwargs: {to: stock}}\n")
	a.says(exitFailure, `(?s)- schedule report`, apply+" --diff --prune")
	a.says(exitOK, `(?s)deleted schedule report.*deleted route app\.\*.*deleted calendar closed`, apply+" --prune")
	a.says(exitOK, `name +foreign`, "schedule get foreign") // is of no source

	a.write("shop/all.yaml", "calendars:\n- {name: closed, days: []}\n")
	a.says(exitUsage, `no schedules: --prune would delete all.*bulk delete --tag source:shop`, apply+" --prune")
	a.write("shop/all.yaml", "")
	a.says(exitUsage, `describe nothing: .*bulk delete --tag source:shop`, apply+" --prune")
	a.says(exitOK, `"name": "sync"`, "schedule list -o json")
	a.write("shop/all.yaml", "schedules:\n- {name: sync, interval_seconds: 60, task_name: app.sync}\n")
	a.says(exitUsage, `all.yaml:2: sync: other_source.*--source shop`, "apply -f "+a.dir+" --source other")
	a.says(exitUsage, `--source`, "apply -f "+a.dir+" --prune")
	a.says(exitUsage, `-f nowhere: there is no such file or folder`, "apply -f nowhere")
}

// TestApplyTellsAllFaults applies files with a fault of each kind: all faults are printed, each with its line, and
// nothing is written.
func TestApplyTellsAllFaults(t *testing.T) {
	t.Parallel()
	a := newAsCode(t)
	a.write("a.yaml", `schedules:
  - name: good
    cron_expression: "0 9 * * *"
    task_name: app.t
  - name: bad
    cron_expresion: "0 9 * * *"
    task_name: app.t
    args: {}
    priority: high
  - task_name: app.nameless
  - name: good
    task_name: app.t
calendars:
  - name: closed
    days:
      - 2127-13-01
unheard: []
`)
	a.write("b.yml", "schedules:\n- name: x\n  cron_expression: * * * * *\n")
	a.write("c.json", "{\n\t\"routes\": [\n\t\t{\"pattern\": \"app.*\",\n\t\t\"priority\": 300}\n\t]\n}\n")
	got := a.says(exitUsage, `nothing was changed`, "apply -f "+a.dir)
	for _, want := range []string{
		`a.yaml:6: bad: unknown_field at /cron_expresion`, `a.yaml:9: bad: type_invalid at /priority`, `a.yaml:10: it has no name`,
		`a.yaml:11: "good" is described at .*a.yaml:2`, `a.yaml:16: closed: day_invalid`, `a.yaml:17: there is no "unheard"`, `b.yml: line 3.*quote`,
		`c.json:4: app\.\*: priority_range`,
	} {
		if !regexp.MustCompile(want).MatchString(got.problems) {
			t.Errorf("it does not say %s:\n%s", want, got.problems)
		}
	}
	a.write("a.yaml", "schedules:\n- {name: good, cron_expression: 0 9 * * *, task_name: app.t}\n- name: bad\n  cron_expression: 0 9 31 2 *\n  exclude_calendars: [none]\n  task_name: app.t\n")
	for _, name := range []string{"b.yml", "c.json"} {
		if err := os.Remove(filepath.Join(a.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	got = a.says(exitUsage, `a.yaml:4: bad: cron_never_fires`, "apply -f "+a.dir) // what the server knows alone
	if !strings.Contains(got.problems, "a.yaml:5: bad: calendar_unknown") {
		t.Errorf("%s", got.problems)
	}
	a.write("a.yaml", "schedules:\n- {name: b, cron_expression: \"61 9 * * *\", timezone: Asia/Tokio, task: x, exclude_calendars: [none], tags: [source:other]}\n"+
		"calendars:\n- {name: c, days: [2027-13-01]}\nroutes:\n- {pattern: x, priority: 300}\n")
	got = a.says(exitUsage, `8 faults; nothing was changed`, "apply --source shop -f "+a.dir) // beside a member that there is not, too
	for _, want := range []string{
		`unknown_field at /task.*task_name`, `cron_syntax`, `timezone_unknown`, `task_missing`, `calendar_unknown`, `day_invalid`, `priority_range`, `of another source`,
	} {
		if !regexp.MustCompile(want).MatchString(got.problems) {
			t.Errorf("it does not say %s:\n%s", want, got.problems)
		}
	}
	unasked := tactus(t, "apply", "-f", a.dir, "--url=http://127.0.0.1:1")
	if unasked.code != exitUsage || !strings.Contains(unasked.problems, "unknown_field at /task") || !strings.Contains(unasked.problems, "3 faults") {
		t.Errorf("with nobody to ask: %+v", unasked)
	}
	a.says(exitOK, `"schedules": \[\]`, "schedule list -o json")
}

// TestExportIsApplied applies what export printed: this changes nothing on the same server, and makes the same on
// another one.
func TestExportIsApplied(t *testing.T) {
	t.Parallel()
	a, elsewhere := newAsCode(t), newAsCode(t)
	a.write("all.yaml", manifest)
	a.says(exitOK, `4 created`, "apply -f "+a.dir)
	a.says(exitOK, `name`, "schedule create --name late --rrule FREQ=DAILY;COUNT=100 --task app.late --overlap skip --misfire all --disabled --kwargs "+`{"day":"2027-01-01","yes":"no","n":"007","emoji":"😀"}`)
	for _, format := range []string{"", " -o json"} {
		text := a.says(exitOK, `schedules`, "export"+format).out
		name := map[string]string{"": "all.yaml", " -o json": "all.json"}[format]
		b := asCode{t, a.url, t.TempDir()}
		b.write(name, text)
		if strings.Contains(text, "misfire_window_seconds") || strings.Contains(text, "dst_gap") {
			t.Errorf("defaults are shown:\n%s", text)
		}
		b.says(exitOK, `^$`, "apply --diff -f "+b.dir)
		if format == "" {
			elsewhere.says(exitOK, `5 created`, "apply -f "+b.dir)
		}
	}
	if here, there := a.says(exitOK, "", "export").out, elsewhere.says(exitOK, "", "export").out; here != there {
		t.Errorf("here\n%s\nelsewhere\n%s", here, there)
	}
}

// TestWhatYAMLCannotHoldStopsNoOther exports a schedule with half of a cut emoji, which no YAML holds, beside another
// with characters that YAML has as escapes only.
func TestWhatYAMLCannotHoldStopsNoOther(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	server := httptest.NewServer(api.New(pool, "UTC", slog.New(slog.NewTextHandler(t.Output(), nil)), celery.Config{}))
	defer server.Close()
	a := asCode{t, server.URL, t.TempDir()}
	a.write("all.yaml", manifest)
	a.says(exitOK, `4 created`, "apply -f "+a.dir)
	for _, text := range []string{
		`{"name":"cut","cron_expression":"* * * * *","task_name":"a","kwargs":{"k":"\ud83d"}}`,
		`{"name":"odd","cron_expression":"* * * * *","task_name":"a","kwargs":{"k":"` + "a\u009bb\ufffec\u007fd\ufeff" + `"}}`,
	} {
		if _, err := pool.Exec(t.Context(), `select tactus.put_schedule($1::text)`, text); err != nil {
			t.Fatal(err)
		}
	}
	said := a.says(exitFailure, `schedules cut is left out: YAML has no half of a character`, "export")
	if !strings.Contains(said.out, "name: odd") || !strings.Contains(said.out, "name: sync") || strings.Contains(said.out, "name: cut") {
		t.Errorf("exported:\n%s", said.out)
	}
	a.write("all.yaml", said.out)
	a.says(exitOK, `^$`, "apply --diff -f "+a.dir)
	if said := a.says(exitOK, "", "export -o json"); !strings.Contains(said.out, `\ud83d`) {
		t.Errorf("as JSON:\n%s", said.out)
	}
}

// TestInvalidScheduleStopsNoOther exports and applies while there is an invalid schedule, written by SQL. If it is
// unchanged, apply mentions it and leaves it alone; a change that leaves it invalid is refused.
func TestInvalidScheduleStopsNoOther(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	server := httptest.NewServer(api.New(pool, "Asia/Tokyo", slog.New(slog.NewTextHandler(t.Output(), nil)), celery.Config{}))
	defer server.Close()
	a := asCode{t, server.URL, t.TempDir()}
	a.write("all.yaml", manifest)
	a.says(exitOK, `4 created`, "apply -f "+a.dir)
	for _, judged := range []bool{false, true} {
		if _, err := pool.Exec(t.Context(), `select tactus.put_schedule(
			'{"name":"typo","cron_expression":"* * * * *","timezone":"Asia/Tokio","task_name":"a","tags":["x"]}'::text)`); err != nil {
			t.Fatal(err)
		}
		if judged {
			if _, err := outbox.NewStore(pool, "UTC", celery.Config{}.Check).Judge(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		exported := a.says(exitOK, map[bool]string{false: `name: typo`, true: `typo is invalid, and exported as it stands: timezone_unknown`}[judged], "export").out
		a.write("all.yaml", exported)
		const told = `all.yaml:\d+: typo is invalid as it stands, and stays so: timezone_unknown at /timezone`
		if got := a.says(exitOK, told, "apply --diff -f "+a.dir); got.out != "" {
			t.Errorf("it differs:\n%s", got.out)
		}
		a.write("all.yaml", strings.Replace(exported, "interval_seconds: 300", "interval_seconds: 600", 1))
		a.says(exitFailure, `(?s)~ schedule sync.*\+ interval_seconds: 600`, "apply --diff -f "+a.dir)
		a.says(exitOK, `(?s)`+told+`.*0 created, 1 changed, 0 deleted, 4 unchanged`, "apply -f "+a.dir)
		a.write("all.yaml", strings.Replace(exported, "task_name: a\n", "task_name: b\n", 1))
		a.says(exitUsage, `typo: timezone_unknown at /timezone.*\n.*1 fault; nothing was changed`, "apply -f "+a.dir)
		a.write("all.yaml", exported)
		a.says(exitOK, `0 created, 1 changed`, "apply -f "+a.dir)
	}
	a.says(exitOK, `"enabled": false`, "schedule disable typo -o json")
	a.says(exitOK, `0 created, 0 changed, 0 deleted, 5 unchanged`, "apply -f "+a.dir) // what somebody has paused stays paused
	a.write("all.yaml", "schedules:\n- {name: typo, cron_expression: '* * * * *', timezone: Asia/Tokyo, task_name: a, tags: [x]}\n")
	a.says(exitOK, `changed schedule typo`, "apply -f "+a.dir)
}

// TestSchemaKnowsEveryMember compares the schema for editors with what a definition has.
func TestSchemaKnowsEveryMember(t *testing.T) {
	t.Parallel()
	got := tactus(t, "schema")
	var schema struct {
		Defs map[string]struct {
			Required             []string
			AdditionalProperties any
			Properties           map[string]struct {
				Description string
				Ref         string `json:"$ref"`
			}
		} `json:"$defs"`
	}
	if err := json.Unmarshal([]byte(got.out), &schema); err != nil {
		t.Fatalf("%v: %s", err, got.problems)
	}
	var whole []string
	for _, field := range reflect.VisibleFields(reflect.TypeFor[domain.Definition]()) {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		whole = append(whole, name)
	}
	definition := schema.Defs["ScheduleDefinition"]
	for _, name := range whole {
		if definition.Properties[name].Description == "" {
			t.Errorf("nothing is said of %s", name)
		}
	}
	if len(definition.Properties) != len(whole) || definition.AdditionalProperties != false {
		t.Errorf("%d members, want %d, and no others: %v", len(definition.Properties), len(whole), definition.AdditionalProperties)
	}
	for name, want := range map[string]string{"ScheduleDefinition": "name", "CalendarDefinition": "name", "RouteDefinition": "pattern"} {
		if !strings.Contains(strings.Join(schema.Defs[name].Required, " "), want) {
			t.Errorf("%s does not demand a %s", name, want)
		}
	}
	for _, reference := range regexp.MustCompile(`"#/[^"]*"`).FindAllString(got.out, -1) {
		if name := strings.Trim(strings.TrimPrefix(reference, `"#/$defs/`), `"`); schema.Defs[name].Properties == nil && name != "CalendarItem" {
			t.Errorf("%s is not there", reference)
		}
	}
}

// TestAsCodePage runs the commands of docs/as-code.md, in a folder with the file that the page shows.
func TestAsCodePage(t *testing.T) {
	t.Parallel()
	a := newAsCode(t)
	page := filepath.Join("docs", "as-code.md")
	a.write("schedules/shop.yaml", blocks(t, page, "yaml")[0])
	for _, script := range blocks(t, page, "sh") {
		shell := exec.CommandContext(t.Context(), "bash", "-euxc", `tactus() { "$TACTUS" "$@"; }`+"\n"+script)
		shell.Dir, shell.Env = a.dir, append(os.Environ(), "TACTUS="+testenv.Binary(t, ""), "TACTUS_URL="+a.url)
		out, err := shell.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "4 created") {
			t.Errorf("%v\n%s", err, out)
		}
	}
	a.says(exitOK, `(?s)daily-report.*source:shop`, "schedule get daily-report")
}
