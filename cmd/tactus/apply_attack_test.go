package main

import (
	"fmt"
	"strings"
	"testing"
)

// TestFilesShowNoVariables applies files, as others may have written them, that try to put environment variables of the
// caller into rules.
func TestFilesShowNoVariables(t *testing.T) {
	const hush = "hush-hush"
	for _, name := range []string{"MY_PASSWORD", "TACTUS_RULE_HOST", "TACTUS_RULE_PATH"} {
		t.Setenv(name, hush)
	}
	a := newAsCode(t)
	says := func(code int, want, args string) {
		t.Helper()
		if got := a.says(code, want, args+" -f "+a.dir); strings.Contains(got.out+got.problems, hush) {
			t.Errorf("%s prints a variable: %s%s", args, got.out, got.problems)
		}
	}
	rule := func(members string) string {
		return "notification_rules:\n- {name: leak, on: [failed], " + members + "}\n"
	}
	for _, members := range []string{
		"to: slack, url: 'http://${MY_PASSWORD}/'", "to: http, url: 'http://h.example', headers: {a: '${MY_PASSWORD}'}",
		"to: webhook, url: 'http://h.example', secret: '${MY_PASSWORD}'",
	} {
		a.write("a.yaml", rule(members))
		for _, how := range []string{"--diff", "--dry-run", ""} {
			says(exitUsage, `a.yaml:2: leak: \$\{MY_PASSWORD\} is not filled in.*TACTUS_RULE_`, "apply "+how)
		}
	}
	for address, shown := range map[string]string{
		"http://${TACTUS_RULE_HOST}/":                           `\+ url: "from \$\{TACTUS_RULE_HOST\}"`,
		"http://u:p@${TACTUS_RULE_HOST}.example/x":              `\+ url: "from \$\{TACTUS_RULE_HOST\}"`,
		"http://u:${TACTUS_RULE_PATH}@h.example/x":              `\+ url: "from \$\{TACTUS_RULE_PATH\}"`,
		"http://h.example/known/${TACTUS_RULE_PATH}":            `\+ url: "http://h.example/…"`,
		"http://h.example?q=${TACTUS_RULE_PATH}":                `\+ url: "http://h.example/…"`,
		"http://${TACTUS_RULE_HOST}:80/a/${TACTUS_RULE_PATH}/b": `from \$\{TACTUS_RULE_HOST\}, \$\{TACTUS_RULE_PATH\}`,
	} {
		a.write("a.yaml", rule("to: slack, url: '"+address+"'"))
		says(exitFailure, shown, "apply --diff")
		says(exitFailure, `"member": "url"`, "apply --diff -o json")
		says(exitOK, `would create notification rule leak`, "apply --dry-run")
	}
	a.write("a.yaml", rule("to: slack, url: 'http://${TACTUS_RULE_HOST}/'"))
	says(exitOK, `created notification rule leak`, "apply")
	says(exitOK, `^$`, "apply --diff")
	a.write("a.yaml", rule("to: teams, url: 'http://${TACTUS_RULE_HOST}', headers: {a: '${TACTUS_RULE_PATH}'}"))
	says(exitUsage, `headers`, "apply")
}

// TestAnchorsMultiplyNoBytes applies small files whose anchors would expand to gigabytes: in one item, in many items,
// in many files, and in an anchor that contains itself.
func TestAnchorsMultiplyNoBytes(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("x", 1<<20)
	item := func(n int, args string) string {
		return fmt.Sprintf("- {name: s%d, cron_expression: '0 9 * * *', task_name: t, args: %s}\n", n, args)
	}
	for name, text := range map[string]string{
		"one item": "schedules:\n" + item(0, "[&a "+big+strings.Repeat(", *a", 2000)+"]"),
		"many items": func() string {
			var b strings.Builder
			b.WriteString("schedules:\n" + item(0, "[&a "+big+"]"))
			for n := range 2000 {
				b.WriteString(item(n+1, "[*a]"))
			}
			return b.String()
		}(),
		"deep": "schedules:\n" + item(0, strings.Repeat("[", 900)+big+strings.Repeat("]", 900)),
	} {
		r := newReading()
		items := readManifest("evil.yaml", []byte(text), r)
		held := 0
		for _, i := range items {
			held += len(i.body())
		}
		if len(r.wrong) != 1 || !strings.Contains(r.wrong[0], "evil.yaml:") || !strings.Contains(r.wrong[0], "apply the files one by one") {
			t.Errorf("%s: %.300q", name, r.wrong)
		}
		if held > r.most || r.bytes > r.most+2*len(text) {
			t.Errorf("%s: %d bytes are held, %d copied, of at most %d", name, held, r.bytes, r.most)
		}
	}
	r := newReading()
	readManifest("evil.yaml", []byte("schedules:\n"+item(0, "&a [*a]")), r)
	if len(r.wrong) != 1 || !strings.Contains(r.wrong[0], "inside of itself") {
		t.Errorf("an anchor in itself: %.300q", r.wrong)
	}
	r = newReading()
	if items := readManifest("good.yaml", []byte("schedules:\n"+item(0, "[&a "+big+", *a, *a]")), r); len(items) != 1 || len(r.wrong) > 0 {
		t.Errorf("a good one: %d, %.300q", len(items), r.wrong)
	}
}
