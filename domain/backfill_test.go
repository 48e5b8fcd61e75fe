package domain_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/calendar"
)

// planned returns a plan, and its due times in the schedule's zone.
func planned(t *testing.T, definition string, sets domain.CalendarSets, ask domain.BackfillRequest) (domain.BackfillPlan, []string) {
	t.Helper()
	d, err := domain.Decode([]byte(definition))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	if d, _, err = d.Normalize(domain.Context{Now: now, Check: func(domain.Task) error { return nil }}); err != nil {
		t.Fatal(err)
	}
	plan, err := domain.Schedule{Definition: d, Sets: sets}.PlanBackfill(ask, now, now.AddDate(-1, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	zone, err := time.LoadLocation(d.Timezone)
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{}
	for _, at := range plan.DueTimes {
		texts = append(texts, at.In(zone).Format("Mon 2006-01-02 15:04 MST"))
	}
	return plan, texts
}

// TestPlanBackfill finds due times as the schedule does: over changes of clocks, by calendars, within its bounds.
func TestPlanBackfill(t *testing.T) {
	t.Parallel()
	weekends, err := calendar.Compile([]calendar.Item{{From: "2000-01-01", To: "2000-01-02", RRule: "FREQ=WEEKLY"}})
	if err != nil {
		t.Fatal(err)
	}
	sets := domain.CalendarSets{"weekends": weekends}
	for _, c := range []struct {
		name, definition string
		ask              domain.BackfillRequest
		want             []string
		excluded         int
	}{
		{
			"both ends included, in local time", `{"cron_expression":"30 2 * * *","timezone":"Europe/Berlin","task_name":"t"}`,
			domain.BackfillRequest{From: "2026-10-24T02:30", To: "2026-10-26T02:30"},
			[]string{"Sat 2026-10-24 02:30 CEST", "Sun 2026-10-25 02:30 CEST", "Mon 2026-10-26 02:30 CET"},
			0,
		},
		{
			"newest first", `{"cron_expression":"0 9 * * *","task_name":"t"}`,
			domain.BackfillRequest{From: "2026-11-01T00:00", To: "2026-11-02T23:00", Order: domain.NewestFirst},
			[]string{"Mon 2026-11-02 09:00 UTC", "Sun 2026-11-01 09:00 UTC"},
			0,
		},
		{
			"until now", `{"interval_seconds":86400,"interval_anchor":"2020-01-01T12:00:00Z","task_name":"t"}`,
			domain.BackfillRequest{From: "2026-11-29T00:00"},
			[]string{"Sun 2026-11-29 12:00 UTC", "Mon 2026-11-30 12:00 UTC"},
			0,
		},
		{
			"excluded", `{"cron_expression":"0 9 * * *","task_name":"t","exclude_calendars":["weekends"]}`,
			domain.BackfillRequest{From: "2026-11-06T00:00", To: "2026-11-09T23:00"},
			[]string{"Fri 2026-11-06 09:00 UTC", "Mon 2026-11-09 09:00 UTC"},
			2,
		},
		{
			"moved", `{"cron_expression":"0 9 7 * *","task_name":"t","exclude_calendars":["weekends"],"on_excluded":"next_allowed"}`,
			domain.BackfillRequest{From: "2026-11-06T00:00", To: "2026-11-30T23:00"},
			[]string{"Mon 2026-11-09 09:00 UTC"},
			0,
		},
		{
			"within starts_at and ends_at", `{"cron_expression":"0 9 * * *","task_name":"t","starts_at":"2026-11-06T09:00:00Z","ends_at":"2027-01-01T00:00:00Z"}`,
			domain.BackfillRequest{From: "2026-11-01T00:00", To: "2026-11-07T23:00"},
			[]string{"Fri 2026-11-06 09:00 UTC", "Sat 2026-11-07 09:00 UTC"},
			0,
		},
		{
			"as many as one takes", `{"interval_seconds":1,"interval_anchor":"2020-01-01T00:00:00Z","task_name":"t"}`,
			domain.BackfillRequest{From: "2026-11-30T00:00:00", To: "2026-11-30T02:46:39"},
			nil, 0,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			plan, got := planned(t, c.definition, sets, c.ask)
			if c.want == nil {
				if len(got) != domain.MaxBackfill {
					t.Errorf("%d due times", len(got))
				}
				return
			}
			if diff := cmp.Diff(c.want, got); diff != "" || plan.LeftOut.Excluded != c.excluded || len(plan.Excluded) != c.excluded {
				t.Errorf("%s\n%+v", diff, plan.LeftOut)
			}
		})
	}
}
