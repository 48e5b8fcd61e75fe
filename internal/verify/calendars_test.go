package verify_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/calendar"
	"github.com/tactus-dev/tactus/internal/verify"
	"github.com/tactus-dev/tactus/outbox"
)

// TestDueTimesThatCalendarsMove has a schedule that is due daily, and a calendar that changes on the third day.
func TestDueTimesThatCalendarsMove(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		on   string
		runs map[int]string // by day
		want []string
	}{
		"moved":                       {calendar.NextAllowed, map[int]string{1: "due", 2: "due", 3: "due", 5: "due"}, nil},
		"one is missing":              {calendar.NextAllowed, map[int]string{1: "due", 2: "due", 5: "due"}, []string{verify.DueMissing}},
		"one on a day that is closed": {calendar.NextAllowed, map[int]string{1: "due", 2: "due", 3: "due", 4: "due", 5: "due"}, []string{verify.RunNotDue}},
		"skipped":                     {calendar.Skip, map[int]string{1: "due", 2: "due", 3: "due", 4: "excluded", 5: "due"}, nil},
		"skipped and not recorded":    {calendar.Skip, map[int]string{1: "due", 2: "due", 3: "due", 5: "due"}, []string{verify.DueMissing}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, calendarID := newWorld(t), outbox.NewID()
			first := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -6)
			date := func(n int) string { return first.AddDate(0, 0, n).Format("2006-01-02") }
			w.sql(t, `insert into tactus.calendars (id, name, version, description, days, created_at, updated_at) values ($1, 'closed', 2, '', '[]', now(), now())`, calendarID.String())
			for version, told := range []struct {
				closed int
				at     time.Time
			}{{3, first.Add(-time.Hour)}, {4, first.AddDate(0, 0, 2).Add(12 * time.Hour)}} {
				data, err := json.Marshal(domain.Calendar{ID: calendarID, Name: "closed", Version: int64(version) + 1, Days: []calendar.Item{{From: date(told.closed)}}})
				if err != nil {
					t.Fatal(err)
				}
				w.sql(t, `insert into tactus.outbox (topic, aggregate_id, version, type, data, occurred_at) values ('schedule', $1, $2, 'calendar.updated', $3, $4)`,
					calendarID.String(), version+1, string(data), told.at)
			}
			l := born(t, w, first, domain.Definition{
				Name: "daily", CronExpression: "0 9 * * *", TaskName: "app.task", ExcludeCalendars: []string{"closed"}, OnExcluded: c.on,
			})
			l.lived()
			for n, status := range c.runs {
				id := outbox.NewID().String()
				w.sql(t, `insert into tactus.runs (id, schedule_id, due_at, kind, status, schedule_version) values ($1, $2, $3, 'scheduled', $4, 1)`,
					id, l.now().ID.String(), first.AddDate(0, 0, n).Add(9*time.Hour), status)
				if status == "due" {
					w.sql(t, `insert into tactus.outbox (topic, aggregate_id, version, type, data) values ('run', $1, 1, 'run.due', '{}')`, id)
				}
			}
			w.publish(t)
			report := w.check(t, verify.Config{Window: &verify.Window{From: first.AddDate(0, 0, 1), To: first.AddDate(0, 0, 5).Add(10 * time.Hour), Late: time.Minute}})
			if kinds := kindsOf(report); !slices.Equal(kinds, c.want) {
				t.Errorf("%v, want %v: %s", kinds, c.want, fmt.Sprint(report.Problems))
			}
		})
	}
}
