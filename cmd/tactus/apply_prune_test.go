package main

import (
	"strings"
	"testing"
)

const sourced = `schedules:
  - {name: report, cron_expression: "30 9 * * *", task_name: app.report, exclude_calendars: [closed]}
  - {name: sync, interval_seconds: 300, task_name: app.sync}
calendars:
  - {name: closed, days: [2127-01-01]}
routes:
  - {pattern: app.*, queue: shop}
notification_rules:
  - {name: on-call, on: [failed], to: webhook, url: "https://hooks.example.com/a"}
`

// TestPruneOfAllKinds takes each kind out of the files of one source, beside what another source and nobody has.
func TestPruneOfAllKinds(t *testing.T) {
	t.Parallel()
	a := newAsCode(t)
	other := asCode{t, a.url, t.TempDir()}
	a.write("all.yaml", sourced)
	other.write("all.yaml", strings.NewReplacer("report", "theirs", "sync", "also-theirs", "closed", "their-days", "app.*", "their.*", "on-call", "their-rule").Replace(sourced))
	a.says(exitOK, `name +by-hand`, "calendar put by-hand 2127-01-02")
	a.says(exitOK, `5 created`, "apply --source shop -f "+a.dir)
	other.says(exitOK, `5 created`, "apply --source other -f "+other.dir)
	apply := "apply --source shop --prune -f " + a.dir
	a.says(exitOK, `0 created, 0 changed, 0 deleted, 5 unchanged`, apply)
	a.says(exitOK, `"source": "shop"`, "calendar get closed -o json")
	a.says(exitUsage, `closed: other_source.*source shop`, "apply --source other -f "+a.dir)
	a.says(exitUsage, `(?s)closed: other_source.*app\.\*: other_source.*on-call: other_source`, "apply -f "+a.dir)

	a.write("all.yaml", "schedules:\n- {name: sync, interval_seconds: 300, task_name: app.sync}\n")
	gone := `(?s)- schedule report.*- route app\.\*.*- calendar closed.*- notification rule on-call`
	a.says(exitFailure, gone, apply+" --diff")
	a.says(exitOK, `4 to delete`, apply+" --dry-run")
	a.says(exitOK, `0 created, 0 changed, 4 deleted, 1 unchanged`, apply)
	a.says(exitOK, `0 deleted`, apply)
	left := a.says(exitOK, "", "export").out
	for _, name := range []string{"by-hand", "sync", "theirs", "also-theirs", "their-days", "their.*", "their-rule", "source: other"} {
		if !strings.Contains(left, name) {
			t.Errorf("%s is gone:\n%s", name, left)
		}
	}
	for _, name := range []string{"report\n", "closed", "app.*", "on-call"} {
		if strings.Contains(left, name) {
			t.Errorf("%s is left:\n%s", name, left)
		}
	}
	mine := asCode{t, a.url, t.TempDir()}
	mine.write("all.yaml", mine.says(exitOK, "", "export --source other").out)
	mine.says(exitOK, `0 deleted, 5 unchanged`, "apply --source other --prune -f "+mine.dir)
	mine.says(exitUsage, `it says that it is of the source "other"`, "apply --source shop -f "+exported(mine))
}

// exported is a folder with all that a server has.
func exported(a asCode) string {
	a.Helper()
	all := asCode{a.T, a.url, a.TempDir()}
	all.write("all.yaml", all.says(exitOK, "", "export").out)
	return all.dir
}

// TestSourcesOfOthers have a file without schedules, what is in use, edits by hand, and a name that is free again.
func TestSourcesOfOthers(t *testing.T) {
	t.Parallel()
	a := newAsCode(t)
	const calendars = "calendars:\n- {name: a, days: [2127-01-01]}\n- {name: b, days: []}\n"
	a.write("all.yaml", calendars)
	apply := "apply --source days --prune -f " + a.dir
	a.says(exitOK, `2 created`, apply)
	a.says(exitOK, `name`, "schedule create --name user --every 60 --task t --exclude-calendar b")
	a.says(exitOK, `2127-02-02`, "calendar put a 2127-02-02") // by hand: it stays of its source
	a.write("all.yaml", "calendars:\n- {name: c, days: []}\n")
	a.says(exitFailure, `(?s)deleted calendar a.*calendar_in_use`, apply)
	a.says(exitOK, `name +b`, "calendar get b")
	a.says(exitOK, `size`, "calendar put a 2127-03-03") // a new one, of nobody
	a.says(exitOK, ``, "schedule delete user")
	a.says(exitOK, `1 deleted`, apply)
	a.says(exitOK, `name +a`, "calendar get a")
	a.write("all.yaml", "calendars:\n- {name: c, source: \"\", days: []}\n") // given up
	a.says(exitOK, `1 changed`, "apply -f "+a.dir)
	a.write("all.yaml", "calendars:\n- {name: d, days: []}\n")
	a.says(exitOK, `1 created, 0 changed, 0 deleted`, apply)
}
