package pages_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/calendar"
)

// TestCalendarShowsHerdsAndExcludedDays counts schedules by the hour, by tag, in spans of a day, a week and a month.
func TestCalendarShowsHerdsAndExcludedDays(t *testing.T) {
	t.Parallel()
	s := serve(t)
	tomorrow := time.Now().UTC().AddDate(0, 0, 1)
	day := func(n int) string { return tomorrow.AddDate(0, 0, n).Format(time.DateOnly) }
	if _, _, err := s.store.PutCalendar(t.Context(), domain.Calendar{
		Name: "closed", Description: "when nobody is in", Days: []calendar.Item{{From: day(1), Reason: "stocktaking"}},
	}, 0); err != nil {
		t.Fatal(err)
	}
	for n := range 12 {
		s.create(t, domain.Definition{Name: fmt.Sprint("herd-", n), TaskName: "app.t", Tags: []string{"herd"}, CronExpression: "0 3 * * *", ExcludeCalendars: []string{"closed"}})
	}
	s.create(t, domain.Definition{Name: "lone", TaskName: "app.t", CronExpression: "30 5 * * *"})
	cell := func(level, n int, hour, count string) string {
		return fmt.Sprintf(`<td class="l%d" title="%s %s:00: %s">`, level, tomorrow.AddDate(0, 0, n).Format("01-02 Mon"), hour, count)
	}
	for _, span := range []string{"week", "month"} {
		page := s.get(t, "/calendar?span="+span).body
		for _, want := range []string{cell(5, 0, "03", "12"), cell(0, 1, "03", "0"), cell(5, 2, "03", "12"), cell(1, 1, "05", "1"), "⊘ closed stocktaking"} {
			if !strings.Contains(page, want) {
				t.Errorf("%s: no %s in %s", span, want, page)
			}
		}
	}
	if page := s.get(t, "/calendar?tag=herd").body; !strings.Contains(page, cell(5, 0, "03", "12")) || !strings.Contains(page, cell(0, 1, "05", "0")) {
		t.Errorf("of a tag: %s", page)
	}
	page := s.get(t, "/calendar?span=day&from="+day(0)).body
	if n := strings.Count(page, "<tr data-row>"); n != 13 || !strings.Contains(page, ">lone<") || strings.Contains(page, "There is more") {
		t.Errorf("%d due times of one day: %s", n, page)
	}
	for n := range 20 {
		s.create(t, domain.Definition{Name: fmt.Sprint("often-", n), TaskName: "app.t", Tags: []string{"often"}, CronExpression: "*/5 * * * *"})
	}
	if page := s.get(t, "/calendar?span=day&tag=often&from="+day(0)).body; !strings.Contains(page, "There is more than is shown") {
		t.Error("it does not say that it is cut")
	}
	if page := s.get(t, "/calendars").body; !strings.Contains(page, "when nobody is in") || !strings.Contains(page, "<td>"+day(1)+"</td>") || !strings.Contains(page, "stocktaking") {
		t.Errorf("the calendars: %s", page)
	}
}

// TestCalendarShowsWhatRan looks at days that have passed: their runs by the hour, by tag, and one by one on a day.
func TestCalendarShowsWhatRan(t *testing.T) {
	t.Parallel()
	s := serve(t)
	made := s.create(t, domain.Definition{Name: "ran", TaskName: "app.t", Tags: []string{"shop"}, CronExpression: "0 0 1 1 *"})
	s.create(t, domain.Definition{Name: "other", TaskName: "app.t", Tags: []string{"other"}, CronExpression: "0 0 1 1 *"})
	day := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -3)
	if _, err := s.pool.Exec(t.Context(), `
		insert into tactus.runs (id, schedule_id, due_at, kind, status, schedule_version, fired_at, error)
		select gen_random_uuid(), $1, $2::timestamptz + interval '5 hours' + n * interval '1 minute', 'scheduled',
			case when n < 3 then 'failed' else 'succeeded' end, 1, now(), case when n < 3 then 'E' end from generate_series(1, 9) n`, made.ID, day); err != nil {
		t.Fatal(err)
	}
	cell := func(class, said string) string {
		return fmt.Sprintf(`<td class="%s" title="%s 05:00: %s">`, class, day.Format("01-02 Mon"), said)
	}
	from := "&from=" + day.Format(time.DateOnly)
	for address, wants := range map[string][]string{
		"/calendar?span=week" + from:          {cell("l4 past bad", "9 runs, 2 failed"), "of hours that have passed, runs: 9, of which 2 failed", "✕</b>"},
		"/calendar?span=month" + from:         {cell("l4 past bad", "9 runs, 2 failed")},
		"/calendar?span=day&tag=shop" + from:  {cell("l4 past bad", "9 runs, 2 failed"), "What ran", ">ran</a>"},
		"/calendar?span=day&tag=other" + from: {cell("l0 past", "0 runs, 0 failed"), "runs: 0, of which 0 failed"},
		"/calendar?span=day":                  {`rel="prev"`},
		"/calendar?span=day&from=2001-01-01":  {time.Now().UTC().Format("01-02 Mon")},
	} {
		page := s.get(t, address).body
		for _, want := range wants {
			if !strings.Contains(page, want) {
				t.Errorf("%s: no %s in %s", address, want, page)
			}
		}
		if ran := strings.Count(page, ">ran</a>"); strings.Contains(address, "day&tag=shop") && ran != 9 || strings.Contains(address, "tag=other") && ran != 0 {
			t.Errorf("%s: %d runs are listed", address, ran)
		}
	}
}
