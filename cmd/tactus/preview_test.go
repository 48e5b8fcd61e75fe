package main

import (
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/calendar"
	"github.com/tactus-dev/tactus/internal/api"
	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
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

// TestPreviewOfAnyTrigger has every kind of trigger, with policies, and a server where calendars are named.
func TestPreviewOfAnyTrigger(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	if _, _, err := outbox.NewStore(pool, "Asia/Tokyo", nil).PutCalendar(t.Context(), domain.Calendar{
		Name: "closed", Days: []calendar.Item{{From: "2027-01-01", To: "2027-01-03", Reason: "New Year"}},
	}, 0); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(api.New(pool, "Asia/Tokyo", slog.New(slog.NewTextHandler(t.Output(), nil)), celery.Config{}))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "definition.json")
	if err := os.WriteFile(file, []byte(`{"name": "n", "task_name": "t", "preset_name": "daily_noon", "timezone": "Asia/Tokyo"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{
		"--every 36h --anchor 2026-01-01T00:00:00Z --after 2026-01-01T00:00:00Z -n 2": "Every 36 hours, counted from 2026-01-01T00:00:00Z\n2026-01-02T12:00:00Z  \n2026-01-04T00:00:00Z  \n",
		"--at 2100-01-01T09:00 --tz Asia/Tokyo":                                       "Once, at 2100-01-01T09:00:00+09:00\n2100-01-01T09:00:00+09:00  \n",
		"--preset daily_noon --starts-at 2026-01-05T00:00 --ends-at 2026-01-06T23:00 --after 2026-01-01 -n 9": "At 12:00, every day, UTC\n2026-01-05T12:00:00Z  \n" +
			"2026-01-06T12:00:00Z  \n",
		"--rrule FREQ=DAILY --anchor= --max-runs 1 --after 2026-01-01": "Every day, at 00:00, from 2026-01-01 00:00 on, UTC\n2026-01-02T00:00:00Z  \n",
		"-f " + file + " --after 2026-01-01T13:00 -n 1":                "At 12:00, every day, Asia/Tokyo\n2026-01-02T12:00:00+09:00  \n",
		"--cron @daily --exclude-calendar closed --on-excluded next_allowed --after 2026-12-31T00:00:00+09:00 -n 2 --url " + server.URL: "At 00:00, every day, " +
			"Asia/Tokyo, except on days of closed; otherwise on the next allowed day\n(nothing)                  excluded by calendars: " +
			"2027-01-01T00:00:00+09:00 New Year\n(nothing)                  excluded by calendars: 2027-01-02T00:00:00+09:00 New Year\n" +
			"(nothing)                  excluded by calendars: 2027-01-03T00:00:00+09:00 New Year\n" +
			"2027-01-04T00:00:00+09:00  \n2027-01-05T00:00:00+09:00  \n",
		"--cron @daily --exclude-calendar closed,open --url " + server.URL: "calendar_unknown at --exclude-calendar (number 2)",
	} {
		got := tactus(t, append([]string{"schedule", "preview"}, strings.Fields(args)...)...)
		if got.out != want && !strings.Contains(got.problems, want) {
			t.Errorf("%s: %+v\nwant %q", args, got, want)
		}
	}
}

// TestPreviewRefuses checks that a schedule that cannot be previewed is a usage error that says what to do.
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
		{[]string{"0 9 * * *", "--dialect", "jenkins"}, `choice_invalid at --dialect: "jenkins"`},
		{[]string{"61 * * * *", "--every", "5m", "--tz", "EST"}, "trigger_ambiguous at --every"},
		{[]string{"61 * * * *", "--every", "5m", "--tz", "EST", "-n", "0"}, "timezone_abbreviation at --tz"},
		{[]string{"61 * * * *", "-n", "0", "--after", "9999-01-01T00:00:00Z"}, "cron_syntax at <cron>"},
		{[]string{"--cron", "61 * * * *"}, "cron_syntax at --cron"},
		{[]string{"0 9 * * *", "--cron", "@daily"}, `"0 9 * * *" and --cron "@daily": give one of them`},
		{nil, "trigger_missing: say when: give one of --cron, --every, --at, --rrule, --preset"},
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
