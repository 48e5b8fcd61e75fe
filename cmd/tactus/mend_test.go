package main

import (
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestNewcomersAreToldTheMend runs the commands that a new user tries first, in the wrong order; each message says what
// to do.
func TestNewcomersAreToldTheMend(t *testing.T) {
	t.Parallel()
	empty, redis, ready := testenv.EmptyURL(t), testenv.RedisURL(t), testenv.DatabaseURL(t)
	role, plain := testenv.Role(t, ready)
	testenv.Execute(t, ready, `grant usage on schema tactus to `+role)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"verify", "--database-url", empty, "--redis-url", redis}, `run "tactus migrate"`},
		{[]string{"deadletter", "list", "--database-url", empty, "--redis-url", redis}, `run "tactus migrate"`},
		{[]string{"rebuild", "--database-url", empty}, `run "tactus migrate"`},
		{[]string{"import", "routes", "--database-url", empty, "nosuch.json"}, "tactus: open nosuch.json"},
		{[]string{"rebuild", "--database-url", plain}, "docs/roles.md"},
		{nil, "tactus --help"},
	} {
		got := tactus(t, c.args...)
		if got.code == exitOK || !strings.Contains(got.problems, c.want) ||
			strings.Contains(got.problems, "tactus: usage") {
			t.Errorf("%v: %+v", c.args, got)
		}
	}
}
