package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPreviewJSON(t *testing.T) {
	t.Parallel()
	got := tactus(t, "schedule", "preview", "30 2 * * *", "--tz", "America/New_York", "--after",
		"2026-03-07T00:00:00-05:00", "-n", "2", "-o", "json")
	const want = `{
  "due_times": [
    "2026-03-07T02:30:00-05:00",
    "2026-03-08T03:00:00-04:00"
  ],
  "description": "At 02:30, every day, America/New_York",
  "marks": [
    {
      "at": "2026-03-08T03:00:00-04:00",
      "mark": "moved",
      "wall": "2026-03-08T02:30:00"
    }
  ],
  "warnings": []
}
`
	if diff := cmp.Diff(said{exitOK, want, ""}, got, cmp.AllowUnexported(said{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestPreviewTable shows every mark, and a warning beside the answer.
func TestPreviewTable(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ args, want, problems string }{
		{
			"preview 30_2_*_*_* --tz America/New_York --after 2026-03-08T00:00:00-05:00 -n 1 --language ja",
			"毎日、02:30、America/New_York\n2026-03-08T03:00:00-04:00  moved from 2026-03-08T02:30:00, which the clocks " +
				"skip\n", "",
		},
		{
			"preview 30_*_*_*_* --tz America/New_York --after 2026-03-08T01:45:00-05:00 -n 1",
			"At minute 30 of the hour, America/New_York\n(nothing)                  the clocks skip " +
				"2026-03-08T02:30:00\n2026-03-08T03:30:00-04:00  \n", "",
		},
		{
			"preview 30_1_*_*_* --tz America/New_York --after 2026-11-01T00:00:00-04:00 -n 2 --dst-overlap both",
			"At 01:30, every day, America/New_York\n2026-11-01T01:30:00-04:00  showing 1 of 2 of this " +
				"time\n2026-11-01T01:30:00-05:00  showing 2 of 2 of this time\n", "",
		},
		{
			"preview TZ=Asia/Tokyo_0_0_13_*_5 --dialect vixie --after 2026-03-08T00:00:00Z -n 1",
			"At 00:00, on day 13 of the month, or on Friday, Asia/Tokyo\n2026-03-13T00:00:00+09:00  \n",
			"warning: day of month and day of week are both restricted: due when either matches (Celery itself " +
				"would demand both)\n",
		},
	} {
		args := append([]string{"schedule"}, strings.Fields(c.args)...)
		args[2] = strings.ReplaceAll(args[2], "_", " ")
		if diff := cmp.Diff(said{exitOK, c.want, c.problems}, tactus(t, args...),
			cmp.AllowUnexported(said{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.args, diff)
		}
	}
}

func TestPreviewOfARecurrence(t *testing.T) {
	t.Parallel()
	got := tactus(t, "schedule", "preview", "--tz", "Asia/Tokyo", "--after", "2026-01-01T00:00:00Z", "-n", "3", "--rrule", "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO;BYHOUR=9;BYMINUTE=30")
	for _, want := range []string{"Every 2 weeks, on Monday, at 09:30", "2026-01-12T09:30:00+09:00", "2026-01-26T09:30:00+09:00", "2026-02-09T09:30:00+09:00"} {
		if got.code != 0 || !strings.Contains(got.out, want) {
			t.Errorf("%+v has no %s", got, want)
		}
	}
}

// TestPreviewRefuses holds that what cannot be previewed is a usage error that says what to do.
func TestPreviewRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"0 9 * * 8"}, `cron_syntax at <cron>: day-of-week "8": 0-7 or sun-sat (at byte 8)`},
		{[]string{"0 9 * *"}, `cron_syntax at <cron>: expression "0 9 * *": want 5 fields (minute hour day-of-month month day-of-week), got 4 (at byte 0)`},
		{[]string{"0 9 * * *", "-n", "0"}, "out_of_range at -n: 0"},
		{[]string{"0 0 31 2 *"}, "cron_never_fires"},
		{[]string{" "}, "the cron expression is empty"},
		{[]string{"0 9 * * *", "--tz", "EST"}, "timezone_abbreviation at --tz: "},
		{[]string{"0 9 * * *", "-n", "1001"}, "out_of_range at -n: 1001: want 1 to 1000"},
		{[]string{"0 9 * * *", "--after", "tomorrow"}, `--after: "tomorrow": want a time as in`},
		{[]string{"0 9 * * *", "--after", "9999-01-01T00:00:00Z"}, "out_of_range at --after"},
		{[]string{"0 9 * * *", "--dialect", "jenkins"}, "--dialect must be one of"},
	} {
		got := tactus(t, append([]string{"schedule", "preview"}, c.args...)...)
		if got.code != exitUsage || got.out != "" || !strings.Contains(got.problems, c.want) {
			t.Errorf("%q: %+v", c.args, got)
		}
	}
}

func TestBenchRefusesASectionThatIsNone(t *testing.T) {
	t.Parallel()
	got := tactus(t, "bench", "speed")
	if got.code != exitUsage ||
		!strings.Contains(got.problems, `no section "speed": want some of writes, relay, runs, beat`) {
		t.Errorf("%+v", got)
	}
}
