package main

import (
	"testing"

	"github.com/tactus-dev/tactus/domain"
)

// TestFaultsSpeakOfFlags tells faults of the API as whoever calls a command reads them.
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
