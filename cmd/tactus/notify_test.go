package main

import (
	"strings"
	"testing"
)

// TestNotifyCommands is a session with the API about notification rules, which are exported and applied, too.
func TestNotifyCommands(t *testing.T) {
	t.Setenv("TACTUS_RULE_HOOK", "hush-1")
	a := newAsCode(t)
	made := a.says(exitOK, `(?s)name +night.*secret +whsec_.*url +https://h\.example/…`, "notify put night --on failed,missed --tag night --every 10m --to webhook --notify-url https://h.example/hush")
	if strings.Contains(made.out+made.problems, "hush") {
		t.Errorf("a secret is printed: %s%s", made.out, made.problems)
	}
	a.says(exitFailure, `seconds_missing at /late_seconds`, "notify put night --on late --to webhook")
	a.says(exitUsage, `whole minutes`, "notify put night --on failed --to webhook --every 90s")
	a.says(exitOK, `(?s)late_seconds +90.*version +2`, "notify put night --on failed,late --late 90s --to webhook")
	a.says(exitOK, `(?s)NAME +ENABLED.*night +true`, "notify list")
	a.says(exitOK, `^notification_rules/night\n$|^night\n$`, "notify list -o name")
	a.says(exitOK, `whsec_`, "notify rotate night")
	exported := a.says(exitOK, `(?s)notification_rules:\n  - name: night.*to: webhook`, "export")
	if strings.Contains(exported.out, "h.example") {
		t.Errorf("an address is exported: %s", exported.out)
	}
	a.write("out.yaml", exported.out)
	a.says(exitOK, `^$`, "apply --diff -f "+a.dir)
	a.write("out.yaml", "notification_rules:\n- {name: chat, on: [failed], to: slack, url: 'https://h.example/${TACTUS_RULE_HOOK}'}\n- {name: night, on: [failed], to: webhook}\n")
	a.says(exitFailure, `(?s)\+ notification rule chat.*~ notification rule night`, "apply --diff -f "+a.dir)
	a.says(exitOK, `(?s)created notification rule chat.*1 created, 1 changed`, "apply -f "+a.dir)
	t.Setenv("TACTUS_RULE_HOOK", "hush-2")
	a.says(exitOK, `0 created, 0 changed, 0 deleted, 2 unchanged`, "apply -f "+a.dir)
	a.says(exitOK, `version +2`, "notify get chat") // its address is another
	a.says(exitOK, `0 created, 0 changed, 0 deleted, 2 unchanged`, "apply -f "+a.dir)
	a.says(exitOK, `version +2`, "notify get chat")
	a.write("out.yaml", "notification_rules:\n- {name: chat, on: [failed], to: slack, url: '${TACTUS_RULE_NOT_SET}'}\n")
	a.says(exitUsage, `out.yaml:2: chat: the variable TACTUS_RULE_NOT_SET is not set`, "apply -f "+a.dir)
	a.says(exitOK, `^$`, "notify delete chat")
	a.says(exitNotFound, `no such notification rule`, "notify delete chat")
}
