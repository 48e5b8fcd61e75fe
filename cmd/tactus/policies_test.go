package main

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/api"
	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestEveryPolicyIsExplained holds that each choice of each policy stands with an example of its own in the manual, in
// openapi.json and in --help.
func TestEveryPolicyIsExplained(t *testing.T) {
	t.Parallel()
	var manual strings.Builder
	for _, page := range []string{"semantics.md", "cron.md"} {
		text, err := os.ReadFile("../../docs/" + page)
		if err != nil {
			t.Fatal(err)
		}
		manual.Write(text)
	}
	served := api.New(testenv.Database(t), "UTC", slog.New(slog.DiscardHandler), celery.Config{})
	answer := httptest.NewRecorder()
	served.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/openapi.json", nil))
	described := strings.Join(strings.Fields(answer.Body.String()), " ")
	policies := 0
	for _, of := range []struct {
		members reflect.Type
		command string
		help    map[string]string
		prefix  string
	}{
		{reflect.TypeFor[domain.Definition](), "create", policyHelp[domain.Definition](""), ""},
		{reflect.TypeFor[domain.BackfillRequest](), "backfill", policyHelp[domain.BackfillRequest]("backfill_"), "backfill_"},
	} {
		help := strings.Join(strings.Fields(tactus(t, "schedule", of.command, "--help").out), " ")
		for field := range of.members.Fields() {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			choices := field.Tag.Get("enum")
			if choices == "" {
				continue
			}
			policies++
			doc := field.Tag.Get("doc")
			if !strings.Contains(described, doc) {
				t.Errorf("openapi.json does not say of %s: %s", name, doc)
			}
			if said := of.help[of.prefix+name]; said == "" || !strings.Contains(help, said) {
				t.Errorf("tactus schedule %s --help does not say of %s: %s", of.command, name, said)
			}
			if n := len(regexp.MustCompile(`\([^()]+\)`).FindAllString(doc, -1)); n <= strings.Count(choices, ",") {
				t.Errorf("%s has %d examples, want one for each of %s: %s", name, n, choices, doc)
			}
			for choice := range strings.SplitSeq(choices, ",") {
				if !regexp.MustCompile(`\b` + choice + `\b[^();:]*\([^()]+\)`).MatchString(doc) {
					t.Errorf("there is no example of %s %s in: %s", name, choice, doc)
				}
				row := regexp.MustCompile("(?m)^\\| `" + choice + "`[^|]*\\|[^|]+\\|[^|]+\\|$")
				if of.command == "create" && !row.MatchString(tablesOf(manual.String(), name)) {
					t.Errorf("the manual has no example of %s %s", name, choice)
				}
			}
		}
	}
	if policies != 9 {
		t.Errorf("%d policies, want 9", policies)
	}
}

// tablesOf returns the rows of the tables whose first column is of a member.
func tablesOf(manual, member string) (rows string) {
	for _, table := range regexp.MustCompile("(?m)^\\| `"+member+"` \\|.*\n\\|---.*\n((\\|.*\n)+)").FindAllStringSubmatch(manual, -1) {
		rows += table[1]
	}
	return rows
}
