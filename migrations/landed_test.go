package migrations_test

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "add the migrations that have no line yet to testdata/landed.sha256")

// TestLandedMigrationsStay keeps databases that exist upgradable: a migration that stands on the main line may have run
// somewhere, and goose never looks at it again. If its text changed, those databases would lack the difference without
// a word; if a new file got a lower number than one that ran, migrate would refuse it. What has landed is listed with
// its sum, and lines are only ever added (-update), behind the last.
func TestLandedMigrationsStay(t *testing.T) {
	landed, last := landedSums(t)
	names, err := filepath.Glob("*.sql")
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	var added []string
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(text)
		want, ok := landed[name]
		delete(landed, name)
		switch {
		case ok && want != hex.EncodeToString(sum[:]):
			t.Errorf("%s has landed, and its text is another one now: restore it, and make the change in a new migration",
				name)
		case !ok && name <= last:
			t.Errorf("%s is new, but numbered before %s, which has landed: give it a number above", name, last)
		case !ok:
			added = append(added, fmt.Sprintf("%x  %s\n", sum, name))
		}
	}
	for name := range landed {
		t.Errorf("%s has landed and is missing: restore the file, name and number included", name)
	}
	if *update && !t.Failed() {
		addLanded(t, added)
	}
}

const landedFile = "testdata/landed.sha256"

// landedSums returns the sum of each migration that has landed by its file's name, and the last of these names. The
// file is in the format of sha256sum.
func landedSums(t *testing.T) (sums map[string]string, last string) {
	t.Helper()
	f, err := os.Open(landedFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sums = map[string]string{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		sum, name, ok := strings.Cut(lines.Text(), "  ")
		if !ok || name <= last {
			t.Fatalf("%s: %q does not follow %q", landedFile, lines.Text(), last)
		}
		sums[name], last = sum, name
	}
	if lines.Err() != nil || last == "" {
		t.Fatal(landedFile, lines.Err())
	}
	return sums, last
}

func addLanded(t *testing.T, lines []string) {
	t.Helper()
	f, err := os.OpenFile(landedFile, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(strings.Join(lines, "")); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
