package pages_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/calendar"
	"github.com/tactus-dev/tactus/outbox"
)

// TestPageOfARunTellsWhoAndWhere reads the pages of runs that somebody triggered, for a queue that is not named, and
// for a stream, which ends what is handed over to it.
func TestPageOfARunTellsWhoAndWhere(t *testing.T) {
	t.Parallel()
	s := serve(t)
	ctx := outbox.WithActor(t.Context(), "key:ann", "month end")
	pages, handed := map[string]string{}, map[string]string{}
	for _, stream := range []string{"", "orders"} {
		made := s.create(t, domain.Definition{Name: "to" + stream, TaskName: "app.t", IntervalSeconds: 3600, Stream: stream})
		run, err := s.store.Trigger(ctx, made.ID)
		if err != nil {
			t.Fatal(err)
		}
		pages[stream] = "/runs/" + run.String()
		handed[stream] = `id="r-` + run.String()
	}
	if _, err := s.pool.Exec(t.Context(), `update tactus.runs set status = 'sent', sent_at = now()`); err != nil {
		t.Fatal(err)
	}
	for stream, wants := range map[string][]string{
		"":       {"<dd>key:ann</dd>", "<dd>month end</dd>", "<dd>celery</dd>", "◷ sent"},
		"orders": {"<dd>key:ann</dd>", "<dd>orders</dd>", "✓ handed over", "which returns no answer"},
	} {
		page := s.get(t, pages[stream]).body
		for _, want := range wants {
			if !strings.Contains(untagged(page, want), want) {
				t.Errorf("the page of the run to %q does not say %q: %s", stream, want, page)
			}
		}
	}
	open := s.get(t, "/runs?state=open").body
	if !strings.Contains(open, handed[""]) || strings.Contains(open, handed["orders"]) {
		t.Errorf("unfinished: %s", open)
	}
}

// untagged returns a page without its tags, unless what is looked for has some.
func untagged(page, want string) string {
	if strings.HasPrefix(want, "<") {
		return page
	}
	return strings.Join(strings.Fields(tags.ReplaceAllString(page, " ")), " ")
}

// TestLogHasChangesOfAllKinds changes a calendar and a route, and reads the log of everything and of each kind.
func TestLogHasChangesOfAllKinds(t *testing.T) {
	t.Parallel()
	s := serve(t)
	ctx := outbox.WithActor(t.Context(), "key:ann", "month end")
	s.create(t, domain.Definition{Name: "a-schedule", TaskName: "app.t", IntervalSeconds: 3600})
	if _, _, err := s.store.PutCalendar(ctx, domain.Calendar{Name: "a-calendar", Days: []calendar.Item{}}, 0); err != nil {
		t.Fatal(err)
	}
	if err := s.store.PutRoute(ctx, domain.Route{Pattern: "app.*", Queue: "q"}, nil); err != nil {
		t.Fatal(err)
	}
	for address, names := range map[string][3]bool{
		"/log": {true, true, true}, "/log?type=route.set": {false, false, true}, "/log?type=calendar.updated": {false, true, false},
		"/log?type=schedule.created": {true, false, false},
		"/log?actor=key:ann":         {false, true, true}, "/log?actor=ann": {false, false, false}, "/log?type=route.set&actor=key:ann": {false, false, true},
	} {
		page := s.get(t, address).body
		for i, name := range []string{">a-schedule</a>", `<a href="/calendars">a-calendar</a>`, `<a href="/system/routes">app.*</a>`} {
			if strings.Contains(page, name) != names[i] {
				t.Errorf("%s has %s: %v: %s", address, name, !names[i], page)
			}
		}
		if told := strings.Count(page, ">key:ann</a>"); told != strings.Count(page, "“month end”") || (told > 0) != (names[1] || names[2]) {
			t.Errorf("%s says %d times who: %s", address, told, page)
		}
	}
}

var tags = regexp.MustCompile(`<[^>]*>`)
