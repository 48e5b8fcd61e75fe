package calendar_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tactus-dev/tactus/domain/calendar"
)

const holidays = `BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//test//
BEGIN:VTIMEZONE
TZID:Asia/Tokyo
BEGIN:STANDARD
DTSTART:19700101T000000
TZOFFSETFROM:+0900
TZOFFSETTO:+0900
END:STANDARD
END:VTIMEZONE
BEGIN:VEVENT
UID:1
DTSTART;VALUE=DATE:20270101
DTEND;VALUE=DATE:20270102
SUMMARY:元日
END:VEVENT
BEGIN:VEVENT
UID:2
DTSTART;VALUE=DATE:20270503
DTEND;VALUE=DATE:20270506
SUMMARY:Golden\, Week and a
  folded line
BEGIN:VALARM
TRIGGER:-PT15M
DTSTART:nonsense of an alarm
END:VALARM
END:VEVENT
BEGIN:VEVENT
UID:3
DTSTART:20000101
DURATION:P2D
RRULE:FREQ=WEEKLY
EXDATE;VALUE=DATE:20270109
SUMMARY:weekend
END:VEVENT
BEGIN:VEVENT
UID:3
RECURRENCE-ID;VALUE=DATE:20270116
DTSTART;VALUE=DATE:20270118
SUMMARY:moved weekend
END:VEVENT
BEGIN:VEVENT
UID:4
DTSTART;TZID="Asia/Tokyo":20270110T020000
DTEND;TZID=Asia/Tokyo:20270110T040000
SUMMARY:maintenance
END:VEVENT
BEGIN:VEVENT
UID:5
STATUS:CANCELLED
DTSTART;VALUE=DATE:20270201
END:VEVENT
END:VCALENDAR
`

func TestICS(t *testing.T) {
	t.Parallel()
	for _, text := range []string{holidays, strings.ReplaceAll(holidays, "\n", "\r\n")} {
		items, err := calendar.ParseICS(text)
		if err != nil {
			t.Fatal(err)
		}
		want := []calendar.Item{
			{From: "2027-01-01", Reason: "元日"},
			{From: "2027-05-03", To: "2027-05-05", Reason: "Golden, Week and a folded line"},
			{From: "2000-01-01", To: "2000-01-02", Reason: "weekend", RRule: "RRULE:FREQ=WEEKLY\nEXDATE;VALUE=DATE:20270109\nEXDATE;VALUE=DATE:20270116"},
			{From: "2027-01-18", Reason: "moved weekend"},
			{From: "2027-01-10T02:00:00", To: "2027-01-10T04:00:00", Reason: "maintenance", Timezone: "Asia/Tokyo"},
		}
		if diff := cmp.Diff(want, items); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		set, err := calendar.Compile(items)
		if err != nil {
			t.Fatal(err)
		}
		f := &calendar.Filter{Sets: []*calendar.Set{set}, On: calendar.Skip, Location: tokyo(t)}
		after := parse(t, "2027-01-07T12:00:00+09:00")
		got := next(f.Apply(cronOf(t, "0 3 * * *", tokyo(t))), after, 8)
		days := []string{"Fri 2027-01-08 03:00", "Sat 2027-01-09 03:00", "Mon 2027-01-11 03:00", "Tue 2027-01-12 03:00", "Wed 2027-01-13 03:00", "Thu 2027-01-14 03:00", "Fri 2027-01-15 03:00", "Sat 2027-01-16 03:00"}
		if diff := cmp.Diff(days, got); diff != "" {
			t.Errorf("due (-want +got):\n%s", diff)
		}
	}
}

func TestICSFaults(t *testing.T) {
	t.Parallel()
	event := func(lines string) string {
		return "BEGIN:VCALENDAR\nBEGIN:VEVENT\n" + lines + "\nEND:VEVENT\nEND:VCALENDAR\n"
	}
	for text, line := range map[string]int{
		"": 1, "hello": 1, "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20270101\n": 2, event("SUMMARY:x"): 2, event("DTSTART:2027"): 3,
		event("DTSTART;TZID=Tokyo Standard Time:20270101T000000"): 3, event("DTSTART:20270101\nDURATION:P"): 4, event("nonsense"): 3,
		event("DTSTART:20270101T000000"): 2, event("DTSTART:20270101\nDTEND:20270101T000000"): 2, "\xff": 1,
		event("DTSTART:20270101\nRDATE;VALUE=PERIOD:20270101T000000/PT1H"): 4, "BEGIN:VCALENDAR\nEND:VEVENT": 2,
	} {
		_, err := calendar.ParseICS(text)
		faults, _ := errors.AsType[calendar.Errors](err)
		if len(faults) == 0 || faults[0].Code != calendar.CodeICS || faults[0].Item != line {
			t.Errorf("%q: %v, want a fault in line %d", text, err, line)
		}
	}
}

// FuzzICS finds no text that stops the reader.
func FuzzICS(f *testing.F) {
	f.Add(holidays)
	f.Fuzz(func(_ *testing.T, text string) {
		if items, err := calendar.ParseICS(text); err == nil && len(items) < 50 {
			_, _ = calendar.Compile(items)
		}
	})
}
