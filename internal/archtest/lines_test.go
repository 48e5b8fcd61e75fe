package archtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

const (
	mostLines   = 500 // of a file
	mostColumns = 120 // of a line, where a tab is four
	// mostWide is how many lines of the program's code, most of them SQL, may be wider: some 1,209 are.
	mostWide = 1_212
)

// tables are files that may be longer, with wider lines, and why.
var tables = map[string]string{"internal/pages/words_ja.go": "all words of one language, in one table"}

// TestFilesAndLinesAreShort holds that a file can be read in one go and a comment without scrolling. Comments that are
// set as they are (by a tab) may be wider, as tables are. What a generator writes is as long as it is.
func TestFilesAndLinesAreShort(t *testing.T) {
	wide := 0
	for _, file := range files(t) {
		text, err := os.ReadFile(filepath.Join(root, file))
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, ".gen.go") || err != nil { // removed since it was listed
			continue
		}
		lines := strings.Split(string(text), "\n")
		if len(lines)-1 > mostLines && tables[file] == "" {
			t.Errorf("%s has %d lines, at most %d: move an idea of it to a file of its own", file, len(lines)-1, mostLines)
		}
		for i, line := range lines {
			if columns(line) <= mostColumns {
				continue
			}
			comment := strings.TrimSpace(line)
			switch {
			case strings.HasPrefix(comment, "// "):
				t.Errorf("%s:%d: a comment of %d columns, at most %d", file, i+1, columns(line), mostColumns)
			case !strings.HasSuffix(file, "_test.go") && !strings.HasPrefix(comment, "//") && tables[file] == "":
				wide++
			}
		}
	}
	if wide > mostWide || wide == 0 {
		t.Errorf("%d lines of the program are wider than %d columns, at most %d: wrap what you add", wide, mostColumns, mostWide)
	}
	t.Logf("%d lines of the program are wider than %d columns", wide, mostColumns)
}

func columns(line string) int { return utf8.RuneCountInString(line) + 3*strings.Count(line, "\t") }
