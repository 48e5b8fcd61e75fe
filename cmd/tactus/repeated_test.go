package main

import (
	"strings"
	"testing"
)

// TestFiltersAreGivenOnce gives filters twice that take one value.
func TestFiltersAreGivenOnce(t *testing.T) {
	t.Parallel()
	for _, args := range []string{
		"schedule list --task a --task-name b", "schedule list --category=a --category=a", "schedule list -q a -q b",
		"schedule bulk delete --task a --queue q --task b", "runs list --since 1h --since 2h",
	} {
		got := tactus(t, append(strings.Fields(args), "--url=http://127.0.0.1:1")...)
		if got.code != exitUsage || !strings.Contains(got.problems, "is given more than once, and takes one value: give it once") {
			t.Errorf("%s: %d %s", args, got.code, got.problems)
		}
	}
	for _, args := range []string{"schedule list --tag a --tags b --task a", "runs list --status sent --status failed --tag a --tag b"} {
		got := tactus(t, append(strings.Fields(args), "--url=http://127.0.0.1:1")...)
		if got.code == exitUsage {
			t.Errorf("%s: %d %s", args, got.code, got.problems)
		}
	}
}
