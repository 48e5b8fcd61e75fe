package rrule_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tactus-dev/tactus/domain/cron"
	"github.com/tactus-dev/tactus/domain/rrule"
	"github.com/tactus-dev/tactus/domain/zone"
)

// TestDue has recurrences with due times worked out by hand: what people ask for most, and each change of the clocks.
func TestDue(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text, zone string
		gap              cron.GapPolicy
		overlap          cron.OverlapPolicy
		want             []string
	}{
		{
			"every second week at a local time, over a change of the clocks", "DTSTART:20260302T090000\nRRULE:FREQ=WEEKLY;INTERVAL=2", "America/New_York", "", "",
			[]string{"2026-03-02T09:00:00-05:00", "2026-03-16T09:00:00-04:00", "2026-03-30T09:00:00-04:00"},
		},
		{
			"every third day", "DTSTART:20260101T183000\nFREQ=DAILY;INTERVAL=3;COUNT=3", "Asia/Tokyo", "", "",
			[]string{"2026-01-01T18:30:00+09:00", "2026-01-04T18:30:00+09:00", "2026-01-07T18:30:00+09:00", "never"},
		},
		{
			"every third month, on its last weekday", "DTSTART:20260101T090000\nRRULE:FREQ=MONTHLY;INTERVAL=3;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", "UTC", "", "",
			[]string{"2026-01-30T09:00:00Z", "2026-04-30T09:00:00Z", "2026-07-31T09:00:00Z"},
		},
		{
			"the first week with BYSETPOS is whole", "DTSTART:20260107T090000\nRRULE:FREQ=WEEKLY;BYDAY=MO,WE,FR;BYSETPOS=2", "UTC", "", "",
			[]string{"2026-01-07T09:00:00Z", "2026-01-14T09:00:00Z"},
		},
		{
			"days with and without a number are alternatives", "DTSTART:20260101T090000\nRRULE:FREQ=MONTHLY;BYDAY=1MO,SA", "UTC", "", "",
			[]string{"2026-01-03T09:00:00Z", "2026-01-05T09:00:00Z", "2026-01-10T09:00:00Z"},
		},
		{
			"a gap, fixed", "DTSTART:20260307T023000\nRRULE:FREQ=DAILY", "America/New_York", "", "",
			[]string{"2026-03-07T02:30:00-05:00", "2026-03-08T03:00:00-04:00", "2026-03-09T02:30:00-04:00"},
		},
		{
			"a gap, skipped", "DTSTART:20260307T023000\nRRULE:FREQ=DAILY", "America/New_York", cron.GapSkip, "",
			[]string{"2026-03-07T02:30:00-05:00", "2026-03-09T02:30:00-04:00"},
		},
		{
			"an overlap, fixed", "DTSTART:20261031T013000\nRRULE:FREQ=DAILY", "America/New_York", "", "",
			[]string{"2026-10-31T01:30:00-04:00", "2026-11-01T01:30:00-04:00", "2026-11-02T01:30:00-05:00"},
		},
		{
			"an overlap, both", "DTSTART:20261101T013000\nRRULE:FREQ=DAILY", "America/New_York", "", cron.OverlapBoth,
			[]string{"2026-11-01T01:30:00-04:00", "2026-11-01T01:30:00-05:00", "2026-11-02T01:30:00-05:00"},
		},
		{
			"an overlap, both, at the end", "DTSTART:20261031T013000\nRRULE:FREQ=DAILY;COUNT=2", "America/New_York", "", cron.OverlapBoth,
			[]string{"2026-10-31T01:30:00-04:00", "2026-11-01T01:30:00-04:00", "2026-11-01T01:30:00-05:00", "never"},
		},
		{
			"an overlap, second", "DTSTART:20261101T013000\nRRULE:FREQ=DAILY", "America/New_York", "", cron.OverlapSecond,
			[]string{"2026-11-01T01:30:00-05:00", "2026-11-02T01:30:00-05:00"},
		},
		{
			"hourly is a cadence", "DTSTART:20261101T000000\nRRULE:FREQ=HOURLY", "America/New_York", "", "",
			[]string{"2026-11-01T00:00:00-04:00", "2026-11-01T01:00:00-04:00", "2026-11-01T01:00:00-05:00", "2026-11-01T02:00:00-05:00"},
		},
		{
			"a day that never was", "DTSTART:20111229T090000\nRRULE:FREQ=DAILY", "Pacific/Apia", "", "",
			[]string{"2011-12-29T09:00:00-10:00", "2011-12-31T09:00:00+14:00"},
		},
		{
			"an end in UTC", "DTSTART;TZID=Asia/Tokyo:20260101T090000\nRRULE:FREQ=DAILY;UNTIL=20260102T000000Z", "Asia/Tokyo", "", "",
			[]string{"2026-01-01T09:00:00+09:00", "2026-01-02T09:00:00+09:00", "never"},
		},
		{
			"an end that is a day", "DTSTART:20260101T090000\nRRULE:FREQ=DAILY;UNTIL=20260102", "Asia/Tokyo", "", "",
			[]string{"2026-01-01T09:00:00+09:00", "2026-01-02T09:00:00+09:00", "never"},
		},
		{
			"dates besides, and exceptions, which COUNT counts", "DTSTART:20260101T090000\nRRULE:FREQ=DAILY;COUNT=3\nEXDATE:20260102T090000\nRDATE;VALUE=DATE:20260110\nRDATE:20260103T000000Z", "Asia/Tokyo", "", "",
			[]string{"2026-01-01T09:00:00+09:00", "2026-01-03T09:00:00+09:00", "2026-01-10T00:00:00+09:00", "never"},
		},
		{
			"dates alone", "RDATE:20260301T090000,20260101T090000", "UTC", "", "",
			[]string{"2026-01-01T09:00:00Z", "2026-03-01T09:00:00Z", "never"},
		},
		{
			"the leap day that is a Monday", "DTSTART:20260101T000000\nRRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO", "UTC", "", "",
			[]string{"2044-02-29T00:00:00Z", "2072-02-29T00:00:00Z", "2112-02-29T00:00:00Z"},
		},
		{
			"the week 53", "DTSTART:20260101T000000\nRRULE:FREQ=YEARLY;BYWEEKNO=53;BYDAY=MO", "UTC", "", "",
			[]string{"2026-12-28T00:00:00Z", "2032-12-27T00:00:00Z"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			due := bind(t, c.text, c.zone, c.gap, c.overlap)
			var got []string
			last := time.Time{}
			for range c.want {
				at, ok := due.Next(last)
				if !ok {
					got = append(got, "never")
					break
				}
				if back, ok := due.Prev(at.Add(1)); !ok || !back.Equal(at) {
					t.Errorf("just after %s the last is %s, %v", at, back, ok)
				}
				if back, ok := due.Prev(at); ok != !last.IsZero() || ok && !back.Equal(last) {
					t.Errorf("before %s the last is %s, %v", at, back, ok)
				}
				got, last = append(got, at.Format(time.RFC3339)), at
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func bind(t *testing.T, text, name string, gap cron.GapPolicy, overlap cron.OverlapPolicy) rrule.Recurrence {
	t.Helper()
	rule, err := rrule.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	location, err := zone.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	due, err := rule.In(location, time.Time{}, gap, overlap)
	if err != nil {
		t.Fatal(err)
	}
	return due
}

func TestParseErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		{"", "[RRULE 0]"},
		{"RRULE:INTERVAL=2", "[FREQ 6]"},
		{"RRULE:FREQ=FORTNIGHTLY;INTERVAL=0;BYDAY=MO,XX,0TU", "[FREQ 11 INTERVAL 32 BYDAY 43 BYDAY 46]"},
		{"FREQ=WEEKLY;BYDAY=2MO", "[BYDAY 0]"},
		{"FREQ=DAILY;COUNT=2;UNTIL=20260101", "[COUNT 0]"},
		{"FREQ=DAILY;COUNT=100001", "[COUNT 17]"},
		{"FREQ=DAILY;FREQ=DAILY", "[FREQ 11]"},
		{"FREQ=MONTHLY;BYWEEKNO=1;BYYEARDAY=1", "[BYWEEKNO 0 BYYEARDAY 0]"},
		{"FREQ=WEEKLY;BYMONTHDAY=1", "[BYMONTHDAY 0]"},
		{"FREQ=MONTHLY;BYSETPOS=1", "[BYSETPOS 0]"},
		{"FREQ=DAILY;BYHOUR=24;BYMINUTE=x;BYSECOND=60;BYMONTH=13;BYFULLMOON=1", "[BYHOUR 18 BYMINUTE 30 BYSECOND 41 BYMONTH 52 BYFULLMOON 55]"},
		{"DTSTART:20260230T000000\nRRULE:FREQ=DAILY\nRRULE:FREQ=DAILY\nEXRULE:FREQ=DAILY\nSUMMARY:x", "[DTSTART 8 RRULE 47 EXRULE 65 SUMMARY 76]"},
		{"DTSTART;TZID=Asia/Tokyo:20260101T000000\nFREQ=DAILY\nEXDATE;TZID=Europe/Paris:20260101T000000", "[TZID 58]"},
		{"DTSTART;VALUE=PERIOD:20260101T000000\nFREQ=DAILY", "[DTSTART 8]"},
		{"FREQ=DAILY;UNTIL=tomorrow;WKST=1", "[UNTIL 17 WKST 31]"},
	} {
		_, err := rrule.Parse(c.text)
		var got []string
		faults, _ := errors.AsType[rrule.Errors](err)
		for _, e := range faults {
			got = append(got, fmt.Sprint(e.Part, " ", e.Position))
			if e.Hint == "" || e.Code != rrule.CodeSyntax {
				t.Errorf("%q: %+v", c.text, e)
			}
		}
		if fmt.Sprint(got) != c.want {
			t.Errorf("%q: %v, want %s: %v", c.text, got, c.want, err)
		}
	}
}

// TestNeverFires holds that a rule that yields nothing is refused, and not searched for ever, however it hides that.
func TestNeverFires(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "FREQ=MONTHLY;BYMONTHDAY=-31;BYMONTH=4", "FREQ=YEARLY;BYYEARDAY=366;BYMONTH=1",
		"FREQ=SECONDLY;INTERVAL=2;BYSECOND=1", "FREQ=SECONDLY;INTERVAL=7;BYDAY=MO;BYHOUR=3;BYMINUTE=1;BYSECOND=1;BYMONTHDAY=31;BYMONTH=2",
		"FREQ=SECONDLY;INTERVAL=1209600;BYDAY=TU", "FREQ=HOURLY;INTERVAL=24;BYHOUR=5", "FREQ=MINUTELY;INTERVAL=1000000000;BYMONTH=2;BYMONTHDAY=30",
		"FREQ=DAILY;BYHOUR=9;BYSETPOS=2", "FREQ=WEEKLY;BYDAY=MO;BYSETPOS=-3", "FREQ=DAILY;UNTIL=20251231T000000", "FREQ=DAILY;UNTIL=20251231T000000Z",
		"FREQ=DAILY;COUNT=1\nEXDATE:20260101T000000", "FREQ=YEARLY;BYYEARDAY=-18;BYDAY=2TU,3TH;COUNT=6", "FREQ=WEEKLY;INTERVAL=1000000000;BYDAY=WE",
	} {
		rule, err := rrule.Parse("DTSTART:20260101T000000\n" + text)
		if err != nil {
			t.Error(err)
			continue
		}
		found := make(chan error, 1)
		go func() {
			_, err := rule.In(time.UTC, time.Time{}, "", "")
			found <- err
		}()
		select {
		case err := <-found:
			if e, ok := errors.AsType[*rrule.Error](err); !ok || e.Code != rrule.CodeNeverFires {
				t.Errorf("%s: %v", text, err)
			}
		case <-time.After(4 * time.Minute):
			t.Fatalf("%s: it is searched for ever", text)
		}
	}
}

// TestStart holds that what stands for DTSTART gives the times that a rule leaves out.
func TestStart(t *testing.T) {
	t.Parallel()
	location, err := zone.Load("Asia/Tokyo")
	if err != nil {
		t.Fatal(err)
	}
	rule, err := rrule.Parse(strings.ToLower("FREQ=WEEKLY;INTERVAL=2;"))
	if err != nil {
		t.Fatal(err)
	}
	start := time.Date(2026, 1, 5, 0, 30, 0, 0, time.UTC) // a Monday, 09:30
	due, err := rule.In(location, start, "", "")
	if err != nil {
		t.Fatal(err)
	}
	if at, ok := due.Next(start); !ok || at.Format(time.RFC3339) != "2026-01-19T09:30:00+09:00" {
		t.Errorf("%s, %v", at, ok)
	}
	if at, ok := due.Next(start.Add(-1)); !ok || !at.Equal(start) {
		t.Errorf("%s, %v", at, ok)
	}
}

// TestCountEndsWithItsWallTime compares rules that end around a change of the clocks with the same rules without an
// end: what is due is the same, up to the wall time that COUNT counts last, in all of its showings.
func TestCountEndsWithItsWallTime(t *testing.T) {
	t.Parallel()
	const layout = "20060102T150405"
	for _, zone := range []string{"America/New_York", "Australia/Lord_Howe"} {
		for _, start := range []string{"20261031T230000", "20261031T013000", "20260405T000000", "20260405T013000"} {
			for _, rule := range []string{"FREQ=DAILY", "FREQ=HOURLY", "FREQ=MINUTELY;INTERVAL=20", "FREQ=DAILY;BYHOUR=0,1,2;BYMINUTE=0,45"} {
				for _, overlap := range []cron.OverlapPolicy{"", cron.OverlapFirst, cron.OverlapSecond, cron.OverlapBoth} {
					endless := "DTSTART:" + start + "\nRRULE:" + rule
					walls := dueTimes(bind(t, endless, "UTC", "", ""), 12) // those that COUNT counts
					for n, wall := range walls {
						last := wall.Format(layout)
						var want []time.Time
						for _, at := range dueTimes(bind(t, endless, zone, cron.GapSkip, overlap), 40) {
							if at.Format(layout) <= last {
								want = append(want, at)
							}
						}
						got := dueTimes(bind(t, fmt.Sprintf("%s;COUNT=%d", endless, n+1), zone, cron.GapSkip, overlap), 40)
						if diff := cmp.Diff(want, got); diff != "" {
							t.Fatalf("%s in %s, %q, COUNT=%d (-want +got):\n%s", endless, zone, overlap, n+1, diff)
						}
					}
				}
			}
		}
	}
}

// dueTimes returns the first n due times, or fewer if there are no more.
func dueTimes(due rrule.Recurrence, n int) (all []time.Time) {
	at, ok := due.Next(time.Time{})
	for ok && len(all) < n {
		all = append(all, at)
		at, ok = due.Next(at)
	}
	return all
}
