package calendar_test

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tactus-dev/tactus/domain/calendar"
	"github.com/tactus-dev/tactus/domain/cron"
	"github.com/tactus-dev/tactus/domain/zone"
)

func compile(t testing.TB, text string) *calendar.Set {
	t.Helper()
	var items []calendar.Item
	if err := json.Unmarshal([]byte(text), &items); err != nil {
		t.Fatal(err)
	}
	set, err := calendar.Compile(items)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func tokyo(t testing.TB) *time.Location {
	t.Helper()
	location, err := zone.Load("Asia/Tokyo")
	if err != nil {
		t.Fatal(err)
	}
	return location
}

func next(r calendar.Recurrence, after time.Time, n int) (all []string) {
	for at, ok := r.Next(after); ok && len(all) < n; at, ok = r.Next(at) {
		all = append(all, at.Format("Mon 2006-01-02 15:04"))
	}
	return all
}

// TestTokyo goes by the trading days of Tokyo around the turn of a year.
func TestTokyo(t *testing.T) {
	t.Parallel()
	location := tokyo(t)
	closed := compile(t, `[{"from":"2000-01-01","to":"2000-01-02","rrule":"FREQ=WEEKLY","reason":"weekend"},
		{"from":"2026-12-31","to":"2027-01-03","reason":"turn of the year"}, "2027-01-11", "2027-05-31"]`)
	after := time.Date(2026, 12, 29, 12, 0, 0, 0, location)
	for _, c := range []struct {
		name, expression, on string
		want                 []string
	}{
		{"market_open", "0 9 * * 1-5", calendar.Skip, []string{"Wed 2026-12-30 09:00", "Mon 2027-01-04 09:00", "Tue 2027-01-05 09:00"}},
		{"monthly_last_business_day", "0 9 LW * *", calendar.PreviousAllowed, []string{"Wed 2026-12-30 09:00", "Fri 2027-01-29 09:00", "Fri 2027-02-26 09:00"}},
		{"first of the month", "0 9 1 * *", calendar.NextAllowed, []string{"Mon 2027-01-04 09:00", "Mon 2027-02-01 09:00", "Mon 2027-03-01 09:00"}},
		{"Mondays", "0 9 * * 1", calendar.NextAllowed, []string{"Mon 2027-01-04 09:00", "Tue 2027-01-12 09:00", "Mon 2027-01-18 09:00"}},
	} {
		f := &calendar.Filter{Sets: []*calendar.Set{closed}, On: c.on, Location: location}
		if diff := cmp.Diff(c.want, next(f.Apply(cronOf(t, c.expression, location)), after, 3)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
	f := &calendar.Filter{Sets: []*calendar.Set{closed}, On: calendar.PreviousAllowed, Location: location}
	may := next(f.Apply(cronOf(t, "0 9 LW * *", location)), time.Date(2027, 5, 1, 0, 0, 0, 0, location), 1)
	if diff := cmp.Diff([]string{"Fri 2027-05-28 09:00"}, may); diff != "" {
		t.Errorf("a last weekday that is a holiday goes to the Friday before (-want +got):\n%s", diff)
	}
}

// TestDropIfTaken has a day that has a due time of its own keep that alone.
func TestDropIfTaken(t *testing.T) {
	t.Parallel()
	location := tokyo(t)
	hours := interval{time.Date(2027, 1, 4, 9, 0, 0, 0, location).Add(-260 * time.Hour), 26 * time.Hour}
	off := compile(t, `["2027-01-05"]`)
	after := time.Date(2027, 1, 4, 0, 0, 0, 0, location)
	own := []string{"Mon 2027-01-04 09:00", "Wed 2027-01-06 13:00"}
	for on, want := range map[string][]string{
		calendar.NextAllowed: {own[0], "Wed 2027-01-06 11:00", own[1]}, calendar.DropIfTaken: {own[0], own[1], "Thu 2027-01-07 15:00"},
	} {
		f := &calendar.Filter{Sets: []*calendar.Set{off}, On: on, Location: location}
		if diff := cmp.Diff(want, next(f.Apply(hours), after, 3)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", on, diff)
		}
	}
}

type interval struct {
	anchor time.Time
	every  time.Duration
}

func (i interval) Next(after time.Time) (time.Time, bool) {
	return i.anchor.Add((after.Sub(i.anchor)/i.every + 1) * i.every), true
}

func (i interval) Prev(before time.Time) (time.Time, bool) {
	return i.anchor.Add((before.Sub(i.anchor) - 1) / i.every * i.every), true
}

// counted counts how often a recurrence is asked.
type counted struct {
	calendar.Recurrence
	asked *int
}

func (c counted) Next(t time.Time) (time.Time, bool) { *c.asked++; return c.Recurrence.Next(t) }
func (c counted) Prev(t time.Time) (time.Time, bool) { *c.asked++; return c.Recurrence.Prev(t) }

// TestBounded asks of calendars that exclude everything, and of ones with no more than a hole a day.
func TestBounded(t *testing.T) {
	t.Parallel()
	location := tokyo(t)
	for _, c := range []struct {
		name, items string
		only        bool
	}{
		{"everything", `[{"from":"1970-01-01","to":"2200-12-31"}]`, false},
		{"nothing is allowed", `[]`, true},
		{"every weekday", `[{"from":"2000-01-01","to":"2000-01-07","rrule":"FREQ=WEEKLY"}]`, false},
		{"all but an hour a day", `[{"from":"2000-01-01T00:00","to":"2000-01-01T23:00","rrule":"FREQ=DAILY"}]`, false},
		{"one day of old", `["1999-01-01"]`, true},
		{"business hours", `[{"from":"2026-01-05T09:00","to":"2026-01-05T17:00","rrule":"FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR"}]`, true},
		{"seven hours", `[{"from":"2026-01-01T00:00","to":"2026-01-01T07:00","rrule":"FREQ=DAILY;UNTIL=20800101"},
			{"from":"2026-01-01T08:00","to":"2026-01-01T23:59:59","rrule":"FREQ=DAILY;UNTIL=20800101"}]`, false},
	} {
		set := compile(t, c.items)
		for _, on := range calendar.Choices {
			expressions := []string{"* * * * *", "0 9 * * *", "0 9 1 1 *"}
			switch c.name {
			case "all but an hour a day", "seven hours":
				expressions = expressions[1:] // every minute is due in that hour
			case "business hours":
				expressions = []string{"30 18 * * *", "30 17-23,0-8 * * *", "* 20 * * *"}
			}
			for _, expression := range expressions {
				asked := 0
				f := &calendar.Filter{Sets: []*calendar.Set{set}, Only: c.only, On: on, Location: location}
				r := f.Apply(counted{cronOf(t, expression, location), &asked})
				if at, ok := r.Next(time.Date(2027, 1, 1, 0, 0, 0, 0, location)); ok {
					t.Errorf("%s, %s, %s: due at %s", c.name, on, expression, at)
				}
				once := asked
				if _, _, steps := calendar.NextCounted(r, time.Date(2027, 1, 1, 0, 0, 0, 0, location)); steps > calendar.MaxSteps+10 || once > 2*calendar.MaxSteps {
					t.Errorf("%s, %s, %s: asked %d times, %d steps", c.name, on, expression, once, steps)
				}
				asked = 0
				if r.Prev(time.Date(2027, 1, 1, 0, 0, 0, 0, location)); asked > 2*calendar.MaxSteps {
					t.Errorf("%s, %s, %s: asked %d times for what was due before", c.name, on, expression, asked)
				}
			}
		}
	}
}

// TestFewSteps has what is due soon found in few steps, however often something is due and however much of each day is
// excluded.
func TestFewSteps(t *testing.T) {
	t.Parallel()
	location, err := zone.Load("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	const business = `[{"from":"2026-01-05T09:00","to":"2026-01-05T17:00","rrule":"FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR"}]`
	const weekends = `[{"from":"2000-01-01","to":"2000-01-02","rrule":"FREQ=WEEKLY"}]`
	for _, c := range []struct {
		items, expression string
		only              bool
		from              string
		most              int
	}{
		{business, "* * * * *", true, "2026-11-25T16:00:00-05:00", 200},
		{business, "* * * * *", true, "2026-11-27T16:59:00-05:00", 200}, // a Friday
		{business, "* * * * *", true, "2026-10-30T16:59:00-04:00", 200}, // the clocks go back on Sunday
		{business, "0 12 * * 6", true, "2026-11-25T16:00:00-05:00", 300},
		{weekends, "0 9 * * 6", false, "2026-11-25T16:00:00-05:00", 200},
		{weekends, "* * * * *", false, "2026-10-30T23:59:00-04:00", 200},
		{weekends, "* * * * *", false, "2026-11-02T12:00:00-05:00", 200},
		{weekends, "0 9 29 2 *", false, "2026-11-25T16:00:00-05:00", 1000},       // in 2032, a Sunday
		{`["2059-01-01"]`, "0 9 * * *", true, "2026-11-25T16:00:00-05:00", 1200}, // some 366 days of which it may have moved
	} {
		for _, on := range calendar.Choices {
			f := &calendar.Filter{Sets: []*calendar.Set{compile(t, c.items)}, Only: c.only, On: on, Location: location}
			r, from := f.Apply(cronOf(t, c.expression, location)), parse(t, c.from)
			due, ok, steps := calendar.NextCounted(r, from)
			if never := on == calendar.Skip && (c.expression == "0 9 * * 6" || c.expression == "0 12 * * 6"); ok == never {
				t.Errorf("%+v %s: due %s %v", c, on, due, ok)
			} else if steps > c.most && !never {
				t.Errorf("%+v %s: %d steps", c, on, steps)
			}
		}
	}
}

func BenchmarkNever(b *testing.B) {
	location := tokyo(b)
	hours := compile(b, `[{"from":"2026-01-05T09:00","to":"2026-01-05T17:00","rrule":"FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR"}]`)
	f := &calendar.Filter{Sets: []*calendar.Set{hours}, Only: true, On: calendar.NextAllowed, Location: location, Gap: cron.GapAuto}
	r := f.Apply(cronOf(b, "30 18 * * *", location))
	for b.Loop() {
		r.Next(time.Date(2026, 12, 30, 12, 0, 0, 0, location))
	}
}

// TestFaults tells every fault of the items, each at its place.
func TestFaults(t *testing.T) {
	t.Parallel()
	_, err := calendar.Compile([]calendar.Item{
		{From: "2027-01-01"},
		{From: "2027-02-30"},
		{From: "2027-01-02", To: "2027-01-01"},
		{From: "2027-01-01T02:00"},
		{From: "2027-01-01", To: "2027-01-01T02:00"},
		{From: "2027-01-01", RRule: "FREQ=NEVER"},
		{From: "2027-01-01", RRule: "DTSTART:20270101\nRRULE:FREQ=DAILY"},
		{From: "2027-01-01", Reason: "\x01"},
		{From: "1969-12-31"},
		{From: "2000-01-01T00:00", To: "2000-01-01T00:01", RRule: "FREQ=MINUTELY;INTERVAL=2"},
	})
	faults, _ := errors.AsType[calendar.Errors](err)
	type fault struct {
		code, member string
		item         int
	}
	var got []fault
	for _, f := range faults {
		got = append(got, fault{f.Code, f.Member, f.Item})
	}
	want := []fault{
		{"day_invalid", "from", 1},
		{"range_invalid", "to", 2},
		{"range_invalid", "to", 3},
		{"range_invalid", "to", 4},
		{"rrule_syntax", "rrule", 5},
		{"rrule_syntax", "rrule", 6},
		{"text_invalid", "reason", 7},
		{"day_invalid", "from", 8},
		{"calendar_too_large", "rrule", 9},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(fault{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestWorkIsBounded refuses what takes too long to go through, at the item that goes too far, after a bounded number of
// steps.
func TestWorkIsBounded(t *testing.T) {
	t.Parallel()
	last := calendar.Item{From: "1990-01-01", RRule: "FREQ=YEARLY;BYDAY=MO,TU,WE,TH,FR,SA,SU;BYHOUR=0,6,12;BYSETPOS=-1"}
	for name, items := range map[string][]calendar.Item{
		"many":    slices.Repeat([]calendar.Item{last}, 900),
		"counted": slices.Repeat([]calendar.Item{{From: "1990-01-01", RRule: "FREQ=YEARLY;BYMONTHDAY=29;BYMONTH=2;BYDAY=MO;COUNT=500"}}, 900),
		"none":    slices.Repeat([]calendar.Item{{From: "1990-01-01", RRule: "FREQ=SECONDLY;BYMONTHDAY=30;BYMONTH=2"}}, 900),
	} {
		_, err := calendar.Compile(items)
		faults, _ := errors.AsType[calendar.Errors](err)
		if len(faults) == 0 || name == "many" && (faults[0].Code != calendar.CodeTooLarge || faults[0].Item < 5 || faults[0].Item > 50) {
			t.Errorf("%s: %v", name, faults)
		}
	}
	for _, fine := range []calendar.Item{last, {From: "1990-01-01T09:00", To: "1990-01-01T17:00", RRule: "FREQ=DAILY", Timezone: "Asia/Tokyo"}} {
		if _, err := calendar.Compile([]calendar.Item{fine}); err != nil {
			t.Errorf("%+v: %v", fine, err)
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	items := slices.Repeat([]calendar.Item{{From: "1990-01-01", RRule: "FREQ=YEARLY;BYDAY=MO,TU,WE,TH,FR,SA,SU;BYHOUR=0,1,2,3,4,5,6,7,8,9,10,11,12;BYSETPOS=-1"}}, 900)
	for b.Loop() {
		_, _ = calendar.Compile(items)
	}
}

// TestItems reads and writes days and ranges as they are.
func TestItems(t *testing.T) {
	t.Parallel()
	const text = `["2027-01-01",{"from":"2027-05-03","to":"2027-05-05","reason":"Golden Week"}]`
	var items []calendar.Item
	if err := json.Unmarshal([]byte(text), &items); err != nil {
		t.Fatal(err)
	}
	if again, err := json.Marshal(items); err != nil || string(again) != text {
		t.Errorf("%s became %s (%v)", text, again, err)
	}
	if err := json.Unmarshal([]byte(`[{"from":"2027-05-03","until":"2027-05-05"}]`), &items); err == nil {
		t.Error("an unknown member is read")
	}
	changes := compile(t, text).After(time.Date(2027, 2, 1, 0, 0, 0, 0, time.UTC), tokyo(t), 5)
	if len(changes) != 1 || changes[0].Reason != "Golden Week" || changes[0].To.Format(time.RFC3339) != "2027-05-06T00:00:00+09:00" {
		t.Errorf("changes: %v", changes)
	}
}

func BenchmarkNext(b *testing.B) {
	location := tokyo(b)
	closed := compile(b, `[{"from":"2000-01-01","to":"2000-01-02","rrule":"FREQ=WEEKLY"}, {"from":"2026-12-31","to":"2027-01-03"}, "2027-01-11"]`)
	after := time.Date(2026, 12, 30, 12, 0, 0, 0, location)
	for _, on := range []string{"none", calendar.Skip, calendar.NextAllowed} {
		b.Run(on, func(b *testing.B) {
			r := cronOf(b, "0 9 * * 1-5", location)
			if on != "none" {
				r = (&calendar.Filter{Sets: []*calendar.Set{closed}, On: on, Location: location, Gap: cron.GapAuto}).Apply(r)
			}
			for b.Loop() {
				r.Next(after)
			}
		})
	}
}

func parse(t testing.TB, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}
