package main

import (
	"encoding/json"
	"fmt"
	"html"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/api"
	"github.com/tactus-dev/tactus/internal/catalog"
	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/pages"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// TestEveryPlaceTellsTheSameState has a schedule of each state, and schedules that could be taken for several states.
// It compares every place that shows, selects by or counts states.
func TestEveryPlaceTellsTheSameState(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	routes := http.NewServeMux()
	routes.Handle("/api/", api.New(pool, "UTC", log, celery.Config{}))
	routes.Handle("/", pages.New(pages.Config{
		Store:   outbox.NewStore(pool, "UTC", handover.Limits{}.Check),
		Catalog: catalog.New(pool), Timezone: "UTC", Check: handover.Limits{}.Check, Log: log,
	}))
	server := httptest.NewServer(routes)
	defer server.Close()
	states := map[string]string{
		"runs": domain.Active, "halted": domain.Paused, "done": domain.Completed, "broken": domain.Unfit,
		"brokenoff": domain.Unfit, "brokendone": domain.Unfit, "beyond": domain.Unfit, "beyondoff": domain.Unfit,
	}
	for name := range states {
		if s := tactus(t, "schedule", "create", "--name", name, "--task", "app.t", "--every", "3600", "--url", server.URL); s.code != exitOK {
			t.Fatal(s)
		}
	}
	for _, name := range []string{"halted", "brokenoff", "beyondoff"} {
		if s := tactus(t, "schedule", "disable", name, "--reason", "vendor down", "--url", server.URL); s.code != exitOK {
			t.Fatal(s)
		}
	}
	if _, err := pool.Exec(t.Context(), `update tactus.schedules set
		enabled = enabled and name not in ('done', 'brokendone'),
		completed_at = case when name in ('done', 'brokendone') then now() end,
		invalid_reason = case when name like 'broken%' then 'its cron expression says nothing' end,
		created_at = case when name like 'beyond%' then 'infinity' else created_at end`); err != nil {
		t.Fatal(err)
	}
	of := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(states)) {
		of[states[name]] = append(of[states[name]], name)
	}

	// The API and the commands.
	found, list := listed(t, server.URL, ""), tactus(t, "schedule", "list", "--url", server.URL).out
	for name, state := range states {
		if found[name] != state {
			t.Errorf("GET /schedules: %s is %q, want %q", name, found[name], state)
		}
		row := regexp.MustCompile(`(?m)^\S+ +` + name + ` +(\w+) .*`).FindStringSubmatch(list)
		if row == nil || row[1] != state || strings.Contains(row[0], "paused since") != (state == domain.Paused) {
			t.Errorf("tactus schedule list: %q, want %s", row, state)
		}
	}
	for state, names := range of {
		if chosen := slices.Sorted(maps.Keys(listed(t, server.URL, "?state="+state))); !slices.Equal(chosen, names) {
			t.Errorf("GET /schedules?state=%s: %v, want %v", state, chosen, names)
		}
	}

	// The pages: their lists, their sums, and the page of each schedule.
	sums := map[string]string{
		domain.Active: "%d active", domain.Paused: "%d paused", domain.Completed: "%d completed", domain.Unfit: "! %d invalid",
	}
	for _, address := range []string{"/", "/schedules"} {
		text := page(t, server.URL+address)
		for state, sum := range sums {
			if sum = fmt.Sprintf(sum, len(of[state])); !strings.Contains(text, sum) {
				t.Errorf("%s does not say %q: %s", address, sum, text)
			}
		}
	}
	marks := map[string]string{domain.Paused: "paused", domain.Completed: "■ completed", domain.Unfit: "! invalid"}
	for state, names := range of {
		list := page(t, server.URL+"/schedules?state="+state)
		var rows []string
		for _, row := range regexp.MustCompile(`(?s)<tr id="s-.*?</tr>`).FindAllString(list, -1) {
			link := regexp.MustCompile(`<a href="(/schedules/[^"]*)">([^<]*)</a>`).FindStringSubmatch(row)
			rows = append(rows, link[2])
			own := page(t, server.URL+link[1])
			for other, mark := range marks {
				if has := strings.Contains(plainText(row), mark); has != (other == state) {
					t.Errorf("/schedules?state=%s says %q of %s: %v", state, mark, link[2], has)
				}
				sum := regexp.MustCompile(`(?s)<p class="sum words">.*?</p>`).FindString(own)
				if has := strings.Contains(plainText(sum), mark); has != (other == state) {
					t.Errorf("the page of %s, which is %s, says %q: %v in %s", link[2], state, mark, has, sum)
				}
			}
			if has := strings.Contains(row, "vendor down"); has != (state == domain.Paused) {
				t.Errorf("/schedules?state=%s says why %s is paused: %v", state, link[2], has)
			}
		}
		if slices.Sort(rows); !slices.Equal(rows, names) {
			t.Errorf("/schedules?state=%s: %v, want %v", state, rows, names)
		}
	}
}

// listed returns the states of listed schedules by their names.
func listed(t *testing.T, url, query string) map[string]string {
	t.Helper()
	var answer struct {
		Schedules []struct{ Name, State string }
	}
	if err := json.Unmarshal([]byte(page(t, url+"/api/v1/schedules"+query)), &answer); err != nil {
		t.Fatal(err)
	}
	states := map[string]string{}
	for _, s := range answer.Schedules {
		states[s.Name] = s.State
	}
	return states
}

// page returns the answer to a GET, which must succeed.
func page(t *testing.T, url string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s %s %v", url, answer.Status, text, err)
	}
	return string(text)
}

// plainText returns the text of HTML.
func plainText(page string) string {
	return html.UnescapeString(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(page, ""))
}
