package archtest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// fileInDocument finds the files that a document names.
var fileInDocument = regexp.MustCompile("`([a-z0-9_/]+\\.(?:go|lua|sql))`")

// TestDesignNamesFilesThatExist holds that whoever follows docs/design.md through the code finds each file.
func TestDesignNamesFilesThatExist(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs", "design.md"))
	if err != nil {
		t.Fatal(err)
	}
	named := fileInDocument.FindAllSubmatch(text, -1)
	if len(named) < 20 {
		t.Errorf("it names %d files: the pattern does not find them", len(named))
	}
	for _, file := range named {
		if _, err := os.Stat(filepath.Join(root, string(file[1]))); err != nil {
			t.Errorf("%s: %v", file[1], err)
		}
	}
}

// TestDesignMapsEveryPackage holds that whoever looks for a package finds what is in it.
func TestDesignMapsEveryPackage(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs", "design.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, places, found := strings.Cut(string(text), "\n## Map\n")
	if !found {
		t.Fatal("it has no map")
	}
	for _, p := range packages(t) {
		room := strings.TrimPrefix(p.ImportPath, module+"/")
		if !strings.HasPrefix(room, "examples/") && !strings.Contains(places, "`"+room+"`") {
			t.Errorf("the map does not say what is in %s", room)
		}
	}
}
