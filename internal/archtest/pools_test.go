package archtest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// opensPool finds other ways to Postgres than package postgres.
var opensPool = regexp.MustCompile(`\b(pgxpool\.New\w*|pgx\.Connect\w*|outbox\.Connect)\(`)

// TestCommandsConnectInOneWay holds that every connection of ours has settings of ours, whatever an administrator has
// set.
func TestCommandsConnectInOneWay(t *testing.T) {
	for _, file := range files(t) {
		if !strings.HasPrefix(file, "cmd/") || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			continue // removed since it was listed
		}
		for _, found := range opensPool.FindAllString(string(text), -1) {
			t.Errorf("%s has %s: open it by postgres.Open", file, found)
		}
	}
}
