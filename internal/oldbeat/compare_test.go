package oldbeat_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/oldbeat"
)

func TestCompare(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	for _, c := range []struct {
		members string
		lastRun time.Time
		want    string // next, next of Celery, codes of differences
	}{
		{`"cron_expression": "0 9 * * *"`, ago(3 * time.Hour), "03-03 09:00, 03-03 09:00"},
		{`"cron_expression": "0 9 * * *"`, ago(30 * time.Hour), "03-03 09:00, 03-02 12:00 overdue"},
		{`"cron_expression": "0 9 * * *"`, time.Time{}, "03-03 09:00, 03-03 09:00"},
		{`"cron_expression": "0 9 * * 7"`, time.Time{}, "03-08 09:00, never celery_refuses"},
		{`"cron_expression": "0 9 * * *", "timezone": "America/New_York"`, time.Time{}, "03-02 14:00, 03-02 14:00"},
		{`"cron_expression": "30 2 * * *", "timezone": "America/New_York"`, time.Time{}, "03-03 07:30, 03-03 07:30"},
		{`"cron_expression": "0 * * * *", "timezone": "America/New_York"`, time.Time{}, "03-02 13:00, 03-02 13:00 dst"},
		{`"cron_expression": "0 * * * *", "timezone": "Asia/Tokyo"`, time.Time{}, "03-02 13:00, 03-02 13:00"},
		{`"cron_expression": "0 9 * * *", "ends_at": "2026-03-01T00:00:00Z"`, time.Time{}, "never, never expired"},
		{
			`"interval_seconds": 600, "interval_anchor": "2026-03-02T11:55:00Z"`, ago(5 * time.Minute),
			"03-02 12:05, 03-02 12:05",
		},
		{
			`"interval_seconds": 600, "interval_anchor": "2026-03-02T11:45:00Z"`, ago(15 * time.Minute),
			"03-02 12:05, 03-02 12:00 overdue",
		},
		{`"interval_seconds": 600, "interval_anchor": "2026-03-02T11:55:00Z"`, time.Time{}, "03-02 12:05, from start"},
		{`"interval_seconds": 600, "interval_anchor": "2026-03-02T11:55:00Z", "ends_at": "2026-03-02T11:59:00Z"`, time.Time{}, "never, never expired"},
		{
			`"interval_seconds": 3600, "interval_anchor": "2026-03-04T11:55:00Z"`, ago(-48 * time.Hour),
			"03-02 12:55, 03-04 13:00 instants",
		},
		{`"cron_expression": "0 9 * * *"`, ago(-48 * time.Hour), "03-03 09:00, 03-05 09:00 instants"},
		{`"run_at": "2026-03-01T00:00:00Z"`, time.Time{}, "never, 03-02 12:00 past"},
		{
			`"rrule": "DTSTART:20260101T090000\nRRULE:FREQ=DAILY"`, ago(3 * time.Hour),
			"03-03 09:00, 03-03 09:00",
		},
		{
			`"rrule": "DTSTART:20260101T090000\nRRULE:FREQ=DAILY"`, ago(30 * time.Hour),
			"03-03 09:00, 03-02 12:00 overdue",
		},
		{
			`"rrule": "DTSTART:20260101T023000\nRRULE:FREQ=HOURLY", "timezone": "America/New_York"`,
			time.Time{},
			"03-02 12:30, 03-02 12:30 dst",
		},
		{`"run_at": "2026-03-04T00:00:00Z"`, time.Time{}, "03-04 00:00, 03-04 00:00"},
		{`"run_at": "2026-03-01T00:00:00Z", "enabled": false`, time.Time{}, "never, never"},
		{`"cron_expression": "0 9 * * *", "enabled": false`, ago(30 * time.Hour), "never, never"},
		// What is due before a start is sent at the start.
		{`"cron_expression": "30 * * * *", "starts_at": "2026-03-02T12:45:00Z"`, time.Time{}, "03-02 13:30, 03-02 12:45 instants"},
		{`"cron_expression": "30 12 * * *", "starts_at": "2026-03-02T12:45:00Z"`, ago(20 * time.Hour), "03-03 12:30, 03-02 12:45 instants"},
		{`"cron_expression": "30 1 * * *", "starts_at": "2026-03-02T12:45:00Z"`, ago(30 * time.Hour), "03-03 01:30, 03-02 12:45 instants"},
		{`"cron_expression": "30 1 * * *", "starts_at": "2026-03-02T12:45:00Z"`, ago(time.Hour), "03-03 01:30, 03-03 01:30"},
		{`"cron_expression": "45 12 * * *", "starts_at": "2026-03-02T12:45:00Z"`, ago(20 * time.Hour), "03-02 12:45, 03-02 12:45"},
		{`"cron_expression": "0 9 * * *", "starts_at": "2026-03-02T12:45:00Z"`, time.Time{}, "03-03 09:00, 03-03 09:00 instants"},
		{`"cron_expression": "0 9 * * *", "starts_at": "2026-03-02T11:45:00Z"`, time.Time{}, "03-03 09:00, 03-03 09:00"},
		{`"cron_expression": "0 9 * * *", "starts_at": "2026-03-02T11:45:00Z"`, ago(30 * time.Hour), "03-03 09:00, 03-02 12:00 overdue"},
		{
			`"cron_expression": "30 12 * * *", "starts_at": "2026-03-02T12:45:00Z", "enabled": false`,
			ago(30 * time.Hour), "never, never",
		},
		{
			`"interval_seconds": 600, "interval_anchor": "2026-03-02T11:55:00Z", "starts_at": "2026-03-02T12:43:00Z"`,
			ago(5 * time.Minute), "03-02 12:45, 03-02 12:43 instants",
		},
		{
			`"interval_seconds": 600, "interval_anchor": "2026-03-02T09:55:00Z", "starts_at": "2026-03-02T12:43:00Z"`,
			ago(125 * time.Minute), "03-02 12:45, 03-02 12:43 instants",
		},
		{
			`"interval_seconds": 7200, "interval_anchor": "2026-03-02T11:55:00Z", "starts_at": "2026-03-02T12:43:00Z"`,
			ago(5 * time.Minute), "03-02 13:55, 03-02 13:55",
		},
		{
			`"interval_seconds": 600, "interval_anchor": "2026-03-02T12:43:00Z", "starts_at": "2026-03-02T12:43:00Z"`,
			time.Time{},
			"03-02 12:43, 03-02 12:43",
		},
		{
			`"interval_seconds": 7200, "interval_anchor": "2026-03-02T12:43:00Z", "starts_at": "2026-03-02T12:43:00Z"`,
			time.Time{},
			"03-02 12:43, from start instants",
		},
		{
			`"interval_seconds": 7200, "interval_anchor": "2026-03-02T11:43:00Z", "starts_at": "2026-03-02T11:43:00Z"`,
			time.Time{},
			"03-02 13:43, from start",
		},
		{`"run_at": "2026-03-02T13:00:00Z", "starts_at": "2026-03-02T12:45:00Z"`, time.Time{}, "03-02 13:00, 03-02 13:00"},
	} {
		d, err := domain.Decode([]byte(`{"name": "n", "task_name": "a", ` + c.members + `}`))
		if err != nil {
			t.Fatal(err)
		}
		typed := d.CronExpression
		d, _, err = d.Normalize(domain.Context{Now: now.AddDate(0, -1, 0)})
		if err != nil {
			t.Fatal(err)
		}
		got, err := oldbeat.Compare(domain.Schedule{Definition: d}, typed, "", c.lastRun, now)
		if err != nil {
			t.Fatal(err)
		}
		words := []string{when(got.Next) + ", " + when(got.NextCelery)}
		if got.FromStart && got.NextCelery == nil {
			words[0] = when(got.Next) + ", from start"
		}
		for _, d := range got.Differences {
			words = append(words, d.Code)
		}
		if text := strings.Join(words, " "); text != c.want {
			t.Errorf("%s after a run at %s: %s, want %s", c.members, c.lastRun, text, c.want)
		}
	}
}

// TestRecurrencesOfRedBeat hands a rule back whose last due time was settled without a run, and describes it.
func TestRecurrencesOfRedBeat(t *testing.T) {
	t.Parallel()
	d := domain.Definition{RRule: "DTSTART:20260101T090000\nRRULE:FREQ=WEEKLY;INTERVAL=2", Timezone: "Etc/GMT-9"}
	if got := oldbeat.Words(d); got != "DTSTART:20260101T090000 RRULE:FREQ=WEEKLY;INTERVAL=2 Etc/GMT-9" {
		t.Error(got)
	}
	due := time.Date(2026, 1, 15, 0, 0, 0, 0, time.UTC)
	ran := due.AddDate(0, 0, -14)
	for settled, want := range map[time.Time]time.Time{
		due.Add(-time.Second): ran, due: due, due.Add(time.Hour): due.Add(time.Hour),
	} {
		if got := oldbeat.LastRun(d, &ran, settled); !got.Equal(want) {
			t.Errorf("settled until %s: %s, want %s", settled, got, want)
		}
	}
}

func when(at *time.Time) string {
	if at == nil {
		return "never"
	}
	return at.UTC().Format("01-02 15:04")
}

// TestDifferencesNameBothInstants has an hourly crontab, which Celery's beat leaves out once where an hour is repeated,
// and an interval there.
func TestDifferencesNameBothInstants(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 6, 2, 12, 0, 0, 0, time.UTC)
	d, err := domain.Decode([]byte(
		`{"name": "n", "task_name": "a", "cron_expression": "0 * * * *", "timezone": "America/New_York"}`))
	if err == nil {
		d, _, err = d.Normalize(domain.Context{Now: now})
	}
	if err != nil {
		t.Fatal(err)
	}
	got, err := oldbeat.Compare(domain.Schedule{Definition: d}, "0 * * * *", "", time.Time{}, now)
	const want = "the clocks of America/New_York change: Celery's beat sends it at 2026-11-01T02:00:00-05:00 " +
		"(America/New_York), " +
		"tactus at 2026-11-01T01:00:00-05:00 (America/New_York)"
	if err != nil || len(got.Differences) != 1 || got.Differences[0].Message != want {
		t.Errorf("%+v, %v, want %s", got.Differences, err, want)
	}
	if got := oldbeat.Interval("America/New_York", now); !strings.HasPrefix(got,
		"the clocks change at 2026-11-01T01:00:00-05:00 (America/New_York)") {
		t.Error(got)
	}
	for _, timezone := range []string{"Asia/Tokyo", "UTC", ""} {
		if got := oldbeat.Interval(timezone, now); got != "" {
			t.Errorf("%s: %s", timezone, got)
		}
	}
}
