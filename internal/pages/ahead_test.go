package pages_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/calendar"
)

// TestPagesFollowCalendarsAndSkips shows schedules whose next due times are excluded or skipped on the overview, the
// list and their own pages.
func TestPagesFollowCalendarsAndSkips(t *testing.T) {
	t.Parallel()
	s := serve(t)
	today := time.Now().UTC()
	day := func(n int) string { return today.AddDate(0, 0, n).Format(time.DateOnly) }
	if _, _, err := s.store.PutCalendar(t.Context(), domain.Calendar{
		Name: "closed", Days: []calendar.Item{{From: day(0), To: day(3), Reason: "stocktaking"}},
	}, 0); err != nil {
		t.Fatal(err)
	}
	excluded := s.create(t, domain.Definition{Name: "excluded", TaskName: "app.t", CronExpression: "0 12 * * *", ExcludeCalendars: []string{"closed"}})
	skipped := s.create(t, domain.Definition{Name: "skipped", TaskName: "app.t", CronExpression: "0 12 * * *"})
	if _, err := s.store.Skip(t.Context(), skipped.ID, 0, 5, "ops", "vendor down"); err != nil {
		t.Fatal(err)
	}
	paused := s.create(t, domain.Definition{Name: "paused", TaskName: "app.t", CronExpression: "* * * * *"})
	if _, err := s.store.Disable(t.Context(), paused.ID, 0, func(domain.Schedule, time.Time) (domain.Pause, error) {
		return domain.Pause{By: "ops", Reason: "too loud", Until: today.AddDate(0, 0, 9)}, nil
	}); err != nil {
		t.Fatal(err)
	}
	overview := s.get(t, "/").body
	if n := strings.Count(overview, "<figcaption>nothing is due"); n != 2 {
		t.Errorf("the density of the next hour and day: %d times nothing is due", n)
	}
	for _, said := range []string{day(4) + "T12:00:00Z", "because: too loud", "by ops"} {
		if !strings.Contains(overview, said) {
			t.Errorf("overview: no %q", said)
		}
	}
	list := s.get(t, "/schedules").body
	if strings.Contains(list, `datetime="`+day(1)) || !strings.Contains(list, `datetime="`+day(4)+"T12:00:00Z") ||
		!strings.Contains(list, "because: vendor down") || !strings.Contains(list, "because: too loud") {
		t.Errorf("the list is not as calendars, skips and pauses want: %s", list)
	}
	own := s.get(t, "/schedules/"+excluded.ID.String()).body
	if !strings.Contains(own, "<del>"+day(1)+" 12:00</del>") || !strings.Contains(own, "excluded by calendars: stocktaking") ||
		strings.Contains(own, `datetime="`+day(1)) || !strings.Contains(own, `datetime="`+day(4)+"T12:00:00Z") {
		t.Errorf("excluded days: %s", own)
	}
	own = s.get(t, "/schedules/"+skipped.ID.String()).body
	if strings.Contains(own, `datetime="`+day(3)+"T12") || !strings.Contains(own, "skips what is due until") {
		t.Errorf("skipped due times: %s", own)
	}
	if own = s.get(t, "/schedules/"+paused.ID.String()).body; !strings.Contains(own, "nothing is due while it is paused") {
		t.Errorf("a paused schedule: %s", own)
	}
}
