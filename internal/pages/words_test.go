package pages

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// said returns the texts of the pages: in templates, in calls of T, and in tables of words that are translated later.
var said = []*regexp.Regexp{
	regexp.MustCompile(`\bt "((?:[^"\\]|\\.)*)"`),
	regexp.MustCompile(`\bT\("((?:[^"\\]|\\.)*)"`),
	regexp.MustCompile(`translate\(lang, "((?:[^"\\]|\\.)*)"`),
	regexp.MustCompile(`\b(?:add|field|titled|behind)\("((?:[^"\\]|\\.)*)"`),
	regexp.MustCompile(`\{"(?:cron|preset|every|once|rrule)", "([^"]+)"`),
	regexp.MustCompile(`\{"[^"\w]{1,8}", "(\w+)", "`),
	regexp.MustCompile(`"(?:due|recorded|handed_over|started|finished)": +"([^"]+)"`),
	regexp.MustCompile(`\{"/[\w/]+", "([^"]+)"\}`),
	regexp.MustCompile(`"\w+/\w+": +"([^"]+)"`),
	regexp.MustCompile(`"(?:enable|disable|trigger|retag|delete|rerun|cancel)": +\{"([^"]+)", "([^"]+)", "([^"]+)"\}`),
	regexp.MustCompile(`\{"[a-z_]+", "([^"]+)", false\}`),
	regexp.MustCompile(`(?:domain\.Schedule|revoke\.)\w+: +"([^"]+)"`),
}

// TestEveryWordIsInBothLanguages checks that each text of the pages has a Japanese one with the same arguments.
func TestEveryWordIsInBothLanguages(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("templates/*.html")
	if err != nil {
		t.Fatal(err)
	}
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, path := range append(paths, sources...) {
		if strings.HasSuffix(path, "_test.go") || strings.HasPrefix(path, "words") {
			continue
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, pattern := range said {
			for _, match := range pattern.FindAllStringSubmatch(string(content), -1) {
				for _, text := range match[1:] {
					found++
					translated, ok := japanese[text]
					if !ok {
						t.Errorf("%s: %q has no Japanese", path, text)
					} else if strings.Count(text, "%") != strings.Count(translated, "%") {
						t.Errorf("%s: %q and %q take different arguments", path, text, translated)
					}
				}
			}
		}
	}
	if found < 100 {
		t.Errorf("only %d texts were found: the search is broken", found)
	}
}
