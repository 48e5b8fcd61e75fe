package oldbeat_test

import (
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/oldbeat"
)

// TestSaved tells what is overdue from what a beat that runs has not saved yet: it saves when it sends something, but
// not again within three minutes.
func TestSaved(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 12, 30, 0, 0, time.UTC)
	ago := func(text string) time.Time {
		length, err := time.ParseDuration(text)
		if err != nil {
			t.Fatal(err)
		}
		return now.Add(-length)
	}
	const often, hourly = `"interval_seconds": 10`, `"cron_expression": "1 * * * *"`
	for _, c := range []struct {
		trigger, last, newest string // how long ago
		code, next            string
	}{
		{often, "5s", "5s", "", "12:30:05"},
		{often, "2m", "2m", oldbeat.Unsaved, "12:30:10"},       // it has sent it twelve times since it saved
		{often, "3m15s", "3m15s", oldbeat.Unsaved, "12:30:05"}, // it is about to save
		{often, "10m", "10m", "overdue", "12:30:00"},           // it would have saved
		{often, "10m", "5s", "overdue", "12:30:00"},            // it saved, and this one did not run
		{hourly, "89m", "30m", oldbeat.Unsaved, "13:01:00"},    // another ran at 12:00: 12:01 is not saved before 13:00
		{hourly, "89m", "10m", "overdue", "12:30:00"},
		{hourly, "149m", "149m", "overdue", "12:30:00"}, // 11:01 would have been saved
		{`"cron_expression": "29 * * * *"`, "61m", "61m", oldbeat.Unsaved, "13:29:00"},
	} {
		d, err := domain.Decode([]byte(`{"name": "a", "task_name": "app.a", "timezone": "UTC", ` + c.trigger + `}`))
		if err != nil {
			t.Fatal(err)
		}
		if d, _, err = d.Normalize(domain.Context{Now: now.AddDate(0, 0, -1)}); err != nil {
			t.Fatal(err)
		}
		s := domain.Schedule{Definition: d}
		got, err := oldbeat.Compare(s, d.CronExpression, "", ago(c.last), now)
		if err == nil {
			err = got.Saved(s, ago(c.last), ago(c.newest), now)
		}
		code := ""
		if len(got.Differences) == 1 {
			code = got.Differences[0].Code
		}
		if err != nil || len(got.Differences) > 1 || code != c.code || got.NextCelery == nil ||
			got.NextCelery.Format(time.TimeOnly) != c.next {
			t.Errorf("%+v: %+v, next %v, %v", c, got.Differences, got.NextCelery, err)
		}
	}
}
