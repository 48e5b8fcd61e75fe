package domain_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tactus-dev/tactus/domain"
)

func TestPreview(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, definition, after string
		n                       int
		language, want          string
	}{
		{
			"a day on which the clocks skip it", `{"cron_expression": "30 2 * * *", "timezone": "America/New_York"}`, "2026-03-07T00:00:00-05:00", 3, "",
			`{"due_times":["2026-03-07T02:30:00-05:00","2026-03-08T03:00:00-04:00","2026-03-09T02:30:00-04:00"],
				"description":"At 02:30, every day, America/New_York",
				"marks":[{"at":"2026-03-08T03:00:00-04:00","mark":"moved","wall":"2026-03-08T02:30:00"}],"warnings":[]}`,
		},
		{
			"the policies skip it", `{"cron_expression": "30 2 * * *", "timezone": "America/New_York", "dst_gap": "skip"}`, "2026-03-08T00:00:00-05:00", 1, "ja",
			`{"due_times":["2026-03-09T02:30:00-04:00"],"description":"毎日、02:30、America/New_York",
				"marks":[{"at":"2026-03-08T03:00:00-04:00","mark":"skipped","wall":"2026-03-08T02:30:00"}],"warnings":[]}`,
		},
		{
			"both showings", `{"cron_expression": "30 1 1 11 *", "timezone": "America/New_York", "dst_overlap": "both"}`, "2026-10-01T00:00:00Z", 2, "en",
			`{"due_times":["2026-11-01T01:30:00-04:00","2026-11-01T01:30:00-05:00"],"description":"At 01:30, on day 1 of the month, in November, America/New_York",
				"marks":[{"at":"2026-11-01T01:30:00-04:00","mark":"repeated","copy":1},{"at":"2026-11-01T01:30:00-05:00","mark":"repeated","copy":2}],"warnings":[]}`,
		},
		{
			"limits", `{"cron_expression": "0 9 * * *", "starts_at": "2026-05-01T09:00", "ends_at": "2026-05-03T09:00", "timezone": "Asia/Tokyo"}`, "2026-03-01T00:00:00Z", 9, "",
			`{"due_times":["2026-05-01T09:00:00+09:00","2026-05-02T09:00:00+09:00","2026-05-03T09:00:00+09:00"],"description":"At 09:00, every day, Asia/Tokyo","marks":[],"warnings":[]}`,
		},
		{
			"at most max_runs", `{"cron_expression": "0 9 * * *", "max_runs": 2}`, "2026-03-01T00:00:00Z", 9, "",
			`{"due_times":["2026-03-01T09:00:00Z","2026-03-02T09:00:00Z"],"description":"At 09:00, every day, UTC","marks":[],"warnings":[]}`,
		},
		{
			"an interval", `{"interval_seconds": 90, "interval_anchor": "2026-01-01T00:00:30Z", "timezone": "Asia/Tokyo"}`, "2026-03-01T00:00:00Z", 2, "",
			`{"due_times":["2026-03-01T09:00:30+09:00","2026-03-01T09:02:00+09:00"],"description":"Every 90 seconds, counted from 2026-01-01T09:00:30+09:00","marks":[],"warnings":[]}`,
		},
		{
			"an interval in Japanese", `{"cron_expression": "@every 5m"}`, "2026-03-01T00:00:00Z", 1, "ja",
			`{"due_times":["2026-03-01T00:05:00Z"],"description":"2026-03-01T00:00:00Zから5分ごと","marks":[],"warnings":[]}`,
		},
		{
			"once", `{"run_at": "2026-11-01 01:30", "timezone": "America/New_York"}`, "2026-03-01T00:00:00Z", 5, "",
			`{"due_times":["2026-11-01T01:30:00-04:00"],"description":"Once, at 2026-11-01T01:30:00-04:00","marks":[],"warnings":[]}`,
		},
		{
			"a preset, in a zone of seconds", `{"preset_name": "daily_noon", "timezone": "Africa/Monrovia"}`, "1970-01-01T00:00:00Z", 1, "",
			`{"due_times":["1970-01-01T12:44:30Z"],"description":"At 12:00, every day, Africa/Monrovia","marks":[],"warnings":[]}`,
		},
		{
			"a warning", `{"cron_expression": "0 0 13 * 5", "cron_dialect": "vixie"}`, "2026-03-01T00:00:00Z", 2, "",
			`{"due_times":["2026-03-06T00:00:00Z","2026-03-13T00:00:00Z"],"description":"At 00:00, on day 13 of the month, or on Friday, UTC","marks":[],
				"warnings":[{"code":"day_fields_or","message":"day of month and day of week are both restricted: due when either matches (Celery itself would demand both)"}]}`,
		},
		{
			"of Quartz, with a year", `{"cron_expression": "0 0 12 ? * 2-6 2027", "cron_dialect": "quartz", "timezone": "Asia/Tokyo"}`, "2026-03-01T00:00:00Z", 2, "ja",
			`{"due_times":["2027-01-01T12:00:00+09:00","2027-01-04T12:00:00+09:00"],"description":"2027年の月曜日から金曜日、12:00、Asia/Tokyo","marks":[],"warnings":[]}`,
		},
		{
			"a recurrence", `{"rrule": "DTSTART;TZID=America/New_York:20260302T090000\nRRULE:FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,FR\nEXDATE:20260306T090000"}`, "2026-03-01T00:00:00Z", 3, "",
			`{"due_times":["2026-03-02T09:00:00-05:00","2026-03-16T09:00:00-04:00","2026-03-20T09:00:00-04:00"],
				"description":"Every 2 weeks, on Monday and Friday, at 09:00, from 2026-03-02 09:00 on, except at 2026-03-06 09:00, America/New_York","marks":[],"warnings":[]}`,
		},
		{
			"a recurrence that begins now, in Japanese", `{"rrule": "FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=9;COUNT=2", "timezone": "Asia/Tokyo"}`, "2026-03-01T00:00:00Z", 3, "ja",
			`{"due_times":["2026-03-27T09:00:00+09:00","2026-04-24T09:00:00+09:00"],
				"description":"毎月、最後の金曜日(月内)、09:00、2026-03-01 09:00から、2回、Asia/Tokyo","marks":[],"warnings":[]}`,
		},
		{
			"of AWS", `{"cron_expression": "cron(0 12 ? * MON-FRI *)", "cron_dialect": "aws"}`, "2026-03-01T00:00:00Z", 1, "",
			`{"due_times":["2026-03-02T12:00:00Z"],"description":"At 12:00, Monday to Friday, UTC","marks":[],"warnings":[]}`,
		},
		{
			"a rate of AWS", `{"cron_expression": "rate(5 minutes)", "cron_dialect": "aws"}`, "2026-03-01T00:00:00Z", 1, "",
			`{"due_times":["2026-03-01T00:05:00Z"],"description":"Every 5 minutes, counted from 2026-03-01T00:00:00Z","marks":[],"warnings":[]}`,
		},
		{
			"a time of AWS", `{"cron_expression": "at(2026-11-01T01:30:00)", "cron_dialect": "aws", "timezone": "America/New_York"}`, "2026-03-01T00:00:00Z", 2, "",
			`{"due_times":["2026-11-01T01:30:00-04:00"],"description":"Once, at 2026-11-01T01:30:00-04:00","marks":[],"warnings":[]}`,
		},
		{
			"Quartz' days under another dialect", `{"cron_expression": "0 0 12 ? * 2-6", "cron_seconds": true}`, "2026-03-01T00:00:00Z", 1, "",
			`{"due_times":["2026-03-03T12:00:00Z"],"description":"At 12:00, Tuesday to Saturday, UTC","marks":[],
				"warnings":[{"code":"cron_dialect","message":"day of week 2-6 is counted from Sunday = 0, as celery does: in an expression that was written for Quartz or AWS, 1 is Sunday; take dialect quartz for those"}]}`,
		},
		{
			"two day fields that every dialect reads alike", `{"cron_expression": "0 0 */2 * 1"}`, "2026-03-01T00:00:00Z", 1, "",
			`{"due_times":["2026-03-09T00:00:00Z"],"description":"At 00:00, on every 2nd day from 1 to 31 of the month, only when it is also Monday, UTC","marks":[],"warnings":[]}`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p, err := decode(t, c.definition).Preview(domain.Ask{After: at(t, c.after), N: c.n, Language: c.language}, "")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tree(t, []byte(c.want)), tree(t, marshal(t, p))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func marshal(t testing.TB, value any) []byte {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func tree(t testing.TB, text []byte) (value any) {
	t.Helper()
	if err := json.Unmarshal(text, &value); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return value
}

// TestPreviewRefuses holds that a bad question is answered with every fault in it, and a bad definition with its own.
func TestPreviewRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		definition string
		ask        domain.Ask
		want       string
	}{
		{`{"cron_expression": "0 9 * * *"}`, domain.Ask{After: at(t, "9999-01-01T00:00:00Z"), N: 1001, Language: "tlh"}, "[out_of_range /n out_of_range /after choice_invalid /language]"},
		{`{"cron_expression": "0 9 * * *"}`, domain.Ask{After: now}, "[out_of_range /n]"},
		{`{"cron_expression": "0 9 * * 8", "timezone": "EST"}`, domain.Ask{After: now, N: 1}, "[cron_syntax /cron_expression timezone_abbreviation /timezone]"},
		{`{}`, domain.Ask{After: now, N: 1}, "[trigger_missing ]"},
	} {
		_, err := decode(t, c.definition).Preview(c.ask, "")
		var got []string
		for _, fault := range domain.FaultsOf(err) {
			got = append(got, fault.Code+" "+fault.Field)
		}
		if fmt.Sprint(got) != c.want {
			t.Errorf("%s: %v, want %s", c.definition, got, c.want)
		}
	}
}

// TestPreviewIsNext holds that a preview of a stored schedule tells what Next does, from EffectiveFrom on.
func TestPreviewIsNext(t *testing.T) {
	t.Parallel()
	s := create(t, `{"task_name": "a", "cron_expression": "*/20 1-3 * * *", "timezone": "America/New_York", "ends_at": "2026-03-20T00:00:00Z"}`)
	p, err := s.Preview(domain.Ask{After: now.AddDate(0, 0, -5), N: domain.MaxPreview})
	if err != nil {
		t.Fatal(err)
	}
	last := now.AddDate(0, 0, -5)
	var want []time.Time
	for due, ok := s.Next(last); ok; due, ok = s.Next(due) {
		want = append(want, due)
	}
	if diff := cmp.Diff(want, p.DueTimes); diff != "" || len(want) < 100 {
		t.Errorf("of %d (-want +got):\n%s", len(want), diff)
	}
}

// TestPreviewTellsDelays holds that a schedule's preview has when its due times fire, if jitter or spread delay them,
// and that a definition's, which has no id yet, has it in words alone.
func TestPreviewTellsDelays(t *testing.T) {
	t.Parallel()
	for members, want := range map[string]string{
		``: "", `, "jitter_seconds": 60`: "", `, "spread_seconds": 3600`: ", spread over 1 hour",
		`, "spread_seconds": 90, "jitter_seconds": 5`: ", spread over 90 seconds",
	} {
		s := create(t, `{"name": "n", "task_name": "a", "cron_expression": "0 0 * * *", "timezone": "Asia/Tokyo"`+members+`}`)
		p, err := s.Preview(domain.Ask{After: now, N: 3})
		if err != nil {
			t.Fatal(err)
		}
		recurrence, err := s.Recurrence()
		if err != nil {
			t.Fatal(err)
		}
		var fires []time.Time
		for _, due := range p.DueTimes {
			if members != "" {
				fires = append(fires, s.Policy().FireAt(s.ID, recurrence, due))
			}
		}
		if diff := cmp.Diff(fires, p.FiresAt); diff != "" || p.Description != "At 00:00, every day, Asia/Tokyo"+want {
			t.Errorf("%s: %q (-want +got):\n%s", members, p.Description, diff)
		}
		s.ID = domain.ID{}
		if p, err = s.Preview(domain.Ask{After: now, N: 3}); err != nil || p.FiresAt != nil {
			t.Errorf("%s: without an id it fires at %v, %v", members, p.FiresAt, err)
		}
	}
	s := create(t, `{"name": "n", "task_name": "a", "interval_seconds": 7200, "spread_seconds": 1800, "exclude_calendars": ["closed"]}`)
	for language, want := range map[string]string{
		"en": ", spread over 30 minutes, except on days of closed", "ja": "、30分の間に分散、closedの日を除く",
	} {
		if said := s.Describe(language); !strings.HasSuffix(said, want) {
			t.Errorf("%s: %q does not end in %q", language, said, want)
		}
	}
}
