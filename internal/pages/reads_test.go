package pages_test

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestPagesChangeNothing reads every page over connections that cannot write: a page of another origin can have a
// browser do so.
func TestPagesChangeNothing(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var pages []string
	found := regexp.MustCompile(`s\.get(?:As)?\((?:\w+, )?(?:rulesPage\+)?"([^"]+)"`)
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		for _, at := range found.FindAllStringSubmatch(string(text), -1) {
			if name == "notifications.go" {
				at[1] = "/system/notifications" + at[1]
			}
			pages = append(pages, at[1])
		}
	}
	if len(pages) < 20 {
		t.Fatalf("there are %d pages: %q", len(pages), pages)
	}
	database := testenv.DatabaseURL(t)
	made := serveOver(t, testenv.Connect(t, database)).create(t, domain.Definition{Name: "n", TaskName: "app.t", CronExpression: "0 9 * * *"})
	s := serveOver(t, testenv.Connect(t, database+"&default_transaction_read_only=on"))
	for _, page := range pages {
		page = strings.NewReplacer("{$}", "", "{id}", made.ID.String(), "{name}", "n").Replace(page)
		if a := s.do(t, http.MethodGet, page, nil); a.status >= 500 {
			t.Errorf("GET %s: %d %s", page, a.status, a.body)
		}
	}
	if a := s.do(t, http.MethodPost, "/schedules/"+made.ID.String()+"/run", url.Values{}); a.status < 500 {
		t.Errorf("the connections can write: %d %s", a.status, a.body)
	}
}
