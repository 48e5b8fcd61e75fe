package main

import (
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/domain"
)

// TestFaultsSpeakOfFlags checks that a command prints faults of the API with the names of its flags.
func TestFaultsSpeakOfFlags(t *testing.T) {
	t.Parallel()
	words := flagWords{"again": "--again", "max_active": "--max-active", "cron_expression": "--cron", "tags": "--tag", "headers": "--headers", "count": "--count"}
	for _, c := range []struct{ field, message, want string }{
		{"/from", `1 have run already ("again": true runs them again)`, `x at /from: 1 have run already (--again runs them again)`},
		{"/max_active", `it is 1, under cron_expression and run_at`, `x at --max-active: it is 1, under --cron and run_at`},
		{"/tags/1", "1 to 200 characters", "x at --tag (number 2): 1 to 200 characters"},
		{"/headers/eta", "use the member", "x at --headers (eta): use the member"},
		{"count", "want 1", "x at --count: want 1"},
		{"", `"exclusive": true stays`, `x: "exclusive": true stays`},
	} {
		f := &domain.Error{Code: "x", Field: c.field, Message: c.message}
		if got := words.fault(f).Error(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// TestFlagsAreKnownByTheirMembers uses names of the API's members as flags, which are accepted. An unknown flag ends
// the command before it sends a request.
func TestFlagsAreKnownByTheirMembers(t *testing.T) {
	t.Parallel()
	for command, known := range map[string]bool{
		"schedule create --timezone UTC --task-name t --cron-expression @daily --tags a --jitter-seconds 5": true,
		"schedule create --run-at 2100-01-01 --misfire-policy all --execution-policy skip":                  true,
		"schedule list --tags a --task-name t":                                                              true,
		"route set a --expires-seconds 5":                                                                   true,
		"schedule create --enabled":                                                                         false,
		"notify put n --interval-seconds 60":                                                                false,
		"key create k --execution-policy false":                                                             false,
	} {
		args := append(strings.Fields(command), "--url", "http://127.0.0.1:1")
		if strings.HasPrefix(command, "key") {
			args = strings.Fields(command)
		}
		got := tactus(t, args...)
		if unknown := strings.Contains(got.problems, "unknown flag"); unknown == known || got.code == exitOK {
			t.Errorf("%s: exit %d: %s", command, got.code, got.problems)
		}
	}
}
