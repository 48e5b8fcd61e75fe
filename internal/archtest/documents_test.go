package archtest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// readsDocument finds SQL that reads a member out of a user's document.
var readsDocument = regexp.MustCompile(`\b(task|data|definition|result|headers)\)?\s*(->|#>|::jsonb)|json_(each|populate|to_record)\w*\(\w*\.?(task|data|definition|result|headers)\b`)

// TestDocumentsAreNotDecoded holds that no statement reads a user's document by Postgres' own operators: they raise for
// one that holds U+0000 or half of a surrogate pair, and with it for all rows that are read together.
func TestDocumentsAreNotDecoded(t *testing.T) {
	for text, want := range map[string]bool{
		"where task->>'queue' = $1": true, "(s.task->'args')::text": true, "o.data #> '{a}'": true, "definition::jsonb": true,
		"json_to_record(s.task) x": true, "sqlexpr.ReadableTask + `->>'queue'`": false, "json_to_record(s.policy::json) p": false,
	} {
		if readsDocument.MatchString(text) != want {
			t.Errorf("%s: found %v, want %v", text, !want, want)
		}
	}
	for _, file := range files(t) {
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") || strings.HasPrefix(file, "internal/bench/") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			continue // removed since it was listed
		}
		for _, found := range readsDocument.FindAllString(string(text), -1) {
			t.Errorf("%s has %q: read it in Go, or by the expressions of internal/sqlexpr", file, found)
		}
	}
}
