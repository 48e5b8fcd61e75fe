package archtest

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	lockTable = "internal/sqlexpr/locks.go"
	lockKey   = regexp.MustCompile("(?m)^\t\\w+Lock += `([0-9, ]+)`")
	takesLock = regexp.MustCompile(`pg_(?:try_)?advisory_(?:xact_)?(?:un)?lock(?:_shared)?\(\s*([^)]*)`)
	hasNumber = regexp.MustCompile(`[0-9]{4,}`)
)

// TestLocksAreUnique holds that no two advisory locks share a key, wherever they are taken: in Go the keys come from
// one table, and the migrations' SQL may only use keys that the table has.
func TestLocksAreUnique(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, lockTable))
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, found := range lockKey.FindAllStringSubmatch(string(text), -1) {
		key := found[1]
		if slices.Contains(keys, key) {
			t.Errorf("%s: two locks have the key %s", lockTable, key)
		}
		if keys = append(keys, key); !strings.Contains(string(text), "//\t"+key+" ") {
			t.Errorf("%s does not say who holds %s", lockTable, key)
		}
	}
	if len(keys) < 4 {
		t.Fatalf("%s: only %v were found: the search is broken", lockTable, keys)
	}
	used := 0
	for _, file := range files(t) {
		if strings.HasSuffix(file, "_test.go") || !strings.HasSuffix(file, ".go") && !strings.HasSuffix(file, ".sql") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			continue // removed since it was listed
		}
		for _, found := range takesLock.FindAllStringSubmatch(string(text), -1) {
			used++
			if hasNumber.MatchString(found[1]) && (strings.HasSuffix(file, ".go") || !slices.Contains(keys, found[1])) {
				t.Errorf("%s takes the lock %s: use a key of %s", file, found[1], lockTable)
			}
		}
	}
	if used < 5 {
		t.Errorf("only %d uses were found: the search is broken", used)
	}
}
