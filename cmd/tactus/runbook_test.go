package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestRunbookNamesCommandsThatExist checks that the commands and flags on the runbook's pages exist.
func TestRunbookNamesCommandsThatExist(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("../../docs/runbook/*.md")
	if err != nil {
		t.Fatal(err)
	}
	placeholder := strings.NewReplacer("NAME", "n", "SINK", "s", "TIME", "1h", "ID", "1")
	typed := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		joined := strings.Join(strings.Fields(string(text)), " ") // a command may be wrapped
		for _, found := range regexp.MustCompile("`tactus ([^`]+)`").FindAllStringSubmatch(joined, -1) {
			var said bytes.Buffer
			parser, err := newParser(&commands{}, console{out: &said, problems: &said}, func(int) {})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := parser.Parse(strings.Fields(placeholder.Replace(found[1]))); err != nil {
				t.Errorf("%s: tactus %s: %v", filepath.Base(page), found[1], err)
			}
			typed++
		}
	}
	if typed < 10 {
		t.Errorf("the pages have %d commands: the pattern does not find them", typed)
	}
}
