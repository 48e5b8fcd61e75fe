package shadow_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/calendar"
)

// TestCompareByCalendars has schedules whose calendars exclude the day, or move to it what was due the day before. What
// the old beat sends, which knows no calendars, is told apart by them.
func TestCompareByCalendars(t *testing.T) {
	t.Parallel()
	nine := 9 * time.Hour
	for _, c := range []struct {
		name, closed, members, guess string
		sent                         bool
	}{
		{"a day that is excluded", day.Format(time.DateOnly), `"cron_expression": "0 9 * * *"`, "its calendars exclude that time", true},
		{"what moves away", day.Format(time.DateOnly), `"cron_expression": "0 9 * * *", "on_excluded": "next_allowed"`, "its calendars exclude that time", true},
		{"what moves here", day.AddDate(0, 0, -1).Format(time.DateOnly), `"cron_expression": "0 9 31 10 *", "on_excluded": "next_allowed"`, "its calendars move it to this time", false},
		{"a day that is allowed", "2020-01-01", `"cron_expression": "0 9 * * *"`, "", true},
	} {
		p := newPast(t)
		s := p.schedule(`"name": "n", "exclude_calendars": ["closed"], ` + c.members)
		set, err := calendar.Compile([]calendar.Item{{From: c.closed}})
		if err != nil {
			t.Fatal(err)
		}
		s.Sets = domain.CalendarSets{"closed": set}
		p.Schedules[0].Sets = s.Sets
		p.decide(s)
		if c.sent {
			p.sendOne(day.Add(nine), "gen1@host")
		}
		r := p.report()
		if r.Agree != (c.guess == "") || len(r.Schedules) != 1 {
			t.Errorf("%s: agree %v, %+v", c.name, r.Agree, r.Schedules)
			continue
		}
		guess := ""
		if len(r.Schedules[0].Examples) > 0 {
			guess = r.Schedules[0].Examples[0].Guess
		}
		if !strings.Contains(guess, c.guess) || (guess == "") != (c.guess == "") {
			t.Errorf("%s: guess %q, want %q", c.name, guess, c.guess)
		}
	}
}
