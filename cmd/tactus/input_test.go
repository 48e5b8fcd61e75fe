package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestInputIsBounded gives commands a file without an end, and one that is too large.
func TestInputIsBounded(t *testing.T) {
	t.Parallel()
	large := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(large, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(large, 1<<40); err != nil { // it has no blocks
		t.Fatal(err)
	}
	for _, file := range []string{"/dev/zero", large} {
		for _, args := range [][]string{
			{"import", "crontab", "--task=t", "--database-url=postgres://127.0.0.1:1/x", file},
			{"schedule", "create", "--url=http://127.0.0.1:1", "-f", file},
		} {
			if got := tactus(t, args...); got.code == exitOK || !strings.Contains(got.problems, "has more than") {
				t.Errorf("%v: %d %.300s", args, got.code, got.problems)
			}
		}
	}
}
