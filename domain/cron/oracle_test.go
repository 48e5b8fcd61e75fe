package cron_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tactus-dev/tactus/domain/cron"
	"github.com/tactus-dev/tactus/domain/zone"
)

// The oracle walks through time one minute after the other (or one second, when the expression has seconds) and asks of
// each what the specification says. It shares nothing with the engine: no masks, no jumps, no zone bounds.

// rule is an expression as the oracle reads it: one predicate a field, of the value alone.
type rule struct {
	second, minute  func(int) bool // second is nil when it is always 0
	hour, month     func(int) bool
	year            func(int) bool // nil when every year matches
	dom             func(t time.Time) bool
	dow             func(t time.Time) bool
	either, cadence bool
	gap             cron.GapPolicy
	overlap         cron.OverlapPolicy
}

// runAfter and copies read the policies: whether a skipped wall time is due after its gap, and which showings count.
func (r rule) runAfter() bool {
	return r.gap == cron.GapRunAfter || r.gap == cron.GapAuto && !r.cadence
}

func (r rule) copies() cron.OverlapPolicy {
	switch {
	case r.overlap != cron.OverlapAuto:
		return r.overlap
	case r.cadence:
		return cron.OverlapBoth
	}
	return cron.OverlapFirst
}

func (r rule) matches(wall time.Time) bool {
	if r.second != nil && !r.second(wall.Second()) || !r.minute(wall.Minute()) || !r.hour(wall.Hour()) || !r.month(int(wall.Month())) || r.year != nil && !r.year(wall.Year()) {
		return false
	}
	dom, dow := r.dom(wall), r.dow(wall)
	return dom && dow || r.either && (dom || dow)
}

// pace is the step of the walk, and how far it goes beyond the window on both sides, to know what is repeated: at a
// minute a step a day and more, at a second little over three hours, which is the most that daylight saving repeats.
func (r rule) pace() (step, beyond time.Duration) {
	if r.second == nil {
		return time.Minute, 30 * time.Hour
	}
	return time.Second, 3*time.Hour + time.Minute
}

// dues are the due times in (after, until], which are whole steps.
func (r rule) dues(after, until time.Time, location *time.Location) []string {
	due := map[time.Time]bool{}
	step, beyond := r.pace()
	seen := make(map[int64]time.Time, (until.Sub(after)+2*beyond)/step+1)
	var previous time.Time // the wall one step ago, as if it were UTC
	for t := after.Add(-beyond); !t.After(until.Add(beyond)); t = t.Add(step) {
		_, offset := t.In(location).Zone()
		wall := t.UTC().Add(time.Duration(offset) * time.Second)
		if jump := wall.Sub(previous) - step; !previous.IsZero() && jump > 0 && jump <= 3*time.Hour && r.runAfter() {
			for skipped := previous.Add(step); skipped.Before(wall); skipped = skipped.Add(step) {
				if r.matches(skipped) {
					due[t] = true
				}
			}
		}
		earlier, repeated := seen[wall.Unix()]
		if r.matches(wall) && (!repeated || r.copies() != cron.OverlapFirst) {
			due[t] = true
			if repeated && r.copies() == cron.OverlapSecond {
				delete(due, earlier)
			}
		}
		seen[wall.Unix()] = t
		previous = wall
	}
	dues := []string{}
	for t := range due {
		if t.After(after) && !t.After(until) {
			dues = append(dues, t.UTC().Format(time.RFC3339))
		}
	}
	slices.Sort(dues)
	return dues
}

// random makes an expression and its rule side by side.
func random(r *rand.Rand, dialect cron.Dialect) (string, rule) {
	minute, minuteOK := randomField(r, 0, 59)
	hour, hourOK := randomField(r, 0, 23)
	month, monthOK := "*", func(int) bool { return true }
	if r.IntN(4) == 0 {
		month, monthOK = randomField(r, 1, 12)
	}
	dom, domOK := randomDOM(r)
	dow, dowOK := randomDOW(r, sundayIn(dialect))
	all := 0
	for h := range 24 {
		if hourOK(h) {
			all++
		}
	}
	rule := rule{
		minute: minuteOK, hour: hourOK, month: monthOK, dom: domOK, dow: dowOK, cadence: all == 24,
		either: dialect == cron.Vixie && dom[0] != '*' && dow[0] != '*', gap: cron.GapAuto, overlap: cron.OverlapAuto,
	}
	fields := []string{minute, hour, dom, month, dow}
	if sundayIn(dialect) == 1 {
		fields = rule.asQuartz(r, fields)
	}
	if dialect == cron.Quartz {
		fields = append([]string{"0"}, fields...)
	}
	if dialect == cron.AWS && len(fields) == 5 {
		fields = append(fields, "*")
	}
	return strings.Join(fields, " "), rule
}

func sundayIn(dialect cron.Dialect) int {
	if dialect == cron.Quartz || dialect == cron.AWS {
		return 1
	}
	return 0
}

// asQuartz puts a ? into one of the day fields, and has years half of the time.
func (rule *rule) asQuartz(r *rand.Rand, fields []string) []string {
	any := func(time.Time) bool { return true }
	if day := 2 + 2*r.IntN(2); day == 2 {
		fields[day], rule.dom = "?", any
	} else {
		fields[day], rule.dow = "?", any
	}
	first, step := 1970+r.IntN(20), 1+r.IntN(3)
	last := first + 20 + r.IntN(80)
	switch r.IntN(6) {
	case 0:
		rule.year = func(y int) bool { return y >= first && y <= last }
		return append(fields, fmt.Sprintf("%d-%d", first, last))
	case 1:
		rule.year = func(y int) bool { return y >= first && (y-first)%step == 0 }
		return append(fields, fmt.Sprintf("%d/%d", first, step))
	case 2:
		rule.year = func(y int) bool { return (y-1970)%step == 0 || y == last }
		return append(fields, fmt.Sprintf("*/%d,%d", step, last))
	}
	return fields
}

func randomField(r *rand.Rand, low, high int) (string, func(int) bool) {
	a, b, step := low+r.IntN(high-low+1), low+r.IntN(high-low+1), 1+r.IntN(7)
	switch r.IntN(6) {
	case 0:
		return "*", func(int) bool { return true }
	case 1:
		return fmt.Sprintf("*/%d", step), func(v int) bool { return (v-low)%step == 0 }
	case 2:
		return fmt.Sprintf("%d-%d", a, b), func(v int) bool {
			if a <= b {
				return a <= v && v <= b
			}
			return v >= a || v <= b
		}
	case 3:
		return fmt.Sprintf("%d/%d", a, step), func(v int) bool { return v >= a && (v-a)%step == 0 }
	case 4:
		return fmt.Sprintf("%d,%d", a, b), func(v int) bool { return v == a || v == b }
	default:
		return strconv.Itoa(a), func(v int) bool { return v == a }
	}
}

func randomDOM(r *rand.Rand) (string, func(time.Time) bool) {
	last := func(t time.Time) int { return time.Date(t.Year(), t.Month()+1, 0, 0, 0, 0, 0, time.UTC).Day() }
	n := 1 + r.IntN(28)
	switch r.IntN(9) {
	case 8:
		m := r.IntN(28)
		return fmt.Sprintf("L-%dW", m), func(t time.Time) bool { return t.Day() == nearestInMonth(t, last(t)-m) }
	case 0:
		return "L", func(t time.Time) bool { return t.Day() == last(t) }
	case 1:
		return fmt.Sprintf("L-%d", n), func(t time.Time) bool { return t.Day() == last(t)-n }
	case 2:
		return "LW", func(t time.Time) bool { return t.Day() == nearestInMonth(t, last(t)) }
	case 3:
		return fmt.Sprintf("%dW", n), func(t time.Time) bool { return t.Day() == nearestInMonth(t, n) }
	case 4:
		text, ok := randomField(r, 1, 31)
		return text, func(t time.Time) bool { return ok(t.Day()) }
	default:
		return "*", func(time.Time) bool { return true }
	}
}

// nearestInMonth tries the days by their distance from n, the earlier first, and takes the first weekday of the month.
func nearestInMonth(t time.Time, n int) int {
	for distance := range 3 {
		for _, day := range []int{n - distance, n + distance} {
			d := time.Date(t.Year(), t.Month(), day, 0, 0, 0, 0, time.UTC)
			if d.Month() == t.Month() && d.Weekday() != time.Saturday && d.Weekday() != time.Sunday {
				return day
			}
		}
	}
	return 0
}

// randomDOW takes the number of Sunday.
func randomDOW(r *rand.Rand, sunday int) (string, func(time.Time) bool) {
	d, n := r.IntN(7), 1+r.IntN(5)
	switch r.IntN(8) {
	case 0:
		return fmt.Sprintf("%d#%d", d+sunday, n), func(t time.Time) bool { return int(t.Weekday()) == d && (t.Day()-1)/7 == n-1 }
	case 1:
		return fmt.Sprintf("%dL", d+sunday), func(t time.Time) bool { return int(t.Weekday()) == d && t.AddDate(0, 0, 7).Month() != t.Month() }
	case 2:
		text, ok := randomField(r, sunday, 6+sunday)
		return text, func(t time.Time) bool { return ok(int(t.Weekday()) + sunday) }
	default:
		return "*", func(time.Time) bool { return true }
	}
}

// TestOracle compares the engine with the oracle in every zone and every dialect, with seconds and without, around
// random transitions: three of the eight combinations in each zone, and all of them where there are more cases. The
// seed is fixed; TACTUS_FUZZ_CASES asks for more cases, from a seed of the time.
func TestOracle(t *testing.T) {
	t.Parallel()
	names := zone.Names()
	cases, seed := 3*len(names), uint64(20261123)
	if text := os.Getenv("TACTUS_FUZZ_CASES"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		cases, seed = n, uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	for i := range cases {
		kind := (i + 5*(i/len(names))) % 8 // 5 and 8 have no common factor: each zone comes to all of them
		compare(t, r, names[i%len(names)], cron.Dialects[kind%4], kind/4 == 1)
	}
}

func compare(t *testing.T, r *rand.Rand, name string, dialect cron.Dialect, seconds bool) {
	t.Helper()
	expression, rule := random(r, dialect)
	around := 40 * time.Hour
	if seconds = seconds && dialect != cron.AWS; seconds {
		var second string
		second, rule.second = randomField(r, 0, 59)
		if dialect == cron.Quartz {
			expression = strings.TrimPrefix(expression, "0 ")
		}
		expression, around = second+" "+expression, 30*time.Minute
	}
	spec, err := cron.Parse(expression, cron.Options{Dialect: dialect, Seconds: seconds})
	if err != nil {
		if !strings.Contains(err.Error(), "no such date") {
			t.Errorf("%s: %v", expression, err)
		}
		return
	}
	location, err := zone.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	middle := randomInstant(r, location)
	after, until := middle.Add(-around), middle.Add(around)
	if _, offset := after.Zone(); offset%60 != 0 {
		return // an offset with seconds: minutes do not show it
	}
	if r.IntN(2) == 0 {
		rule.gap = []cron.GapPolicy{cron.GapRunAfter, cron.GapSkip}[r.IntN(2)]
		rule.overlap = []cron.OverlapPolicy{cron.OverlapFirst, cron.OverlapSecond, cron.OverlapBoth}[r.IntN(3)]
	}
	want := rule.dues(after, until, location)
	schedule := spec.In(location, rule.gap, rule.overlap)
	for direction, got := range map[string][]string{
		"Next": forward(schedule, after, until), "Prev": backward(r, schedule, after, until),
	} {
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s of %s (%s, gap %s, overlap %s) in %s after %s (-oracle +engine):\n%s",
				direction, expression, dialect, rule.gap, rule.overlap, name, after.Format(time.RFC3339), diff)
		}
	}
}

func forward(schedule cron.Schedule, after, until time.Time) []string {
	dues := []string{}
	for due := range schedule.Between(after, until) {
		dues = append(dues, due.UTC().Format(time.RFC3339))
	}
	return dues
}

// backward goes from each due time to the one before it, and asks at the due time, or less than a second after the
// earlier one, as far as that is known.
func backward(r *rand.Rand, schedule cron.Schedule, after, until time.Time) []string {
	dues := []string{}
	for before := until.Add(1); ; {
		due, ok := schedule.Prev(before)
		if !ok || !due.After(after) {
			break
		}
		dues = append(dues, due.UTC().Format(time.RFC3339))
		before = due
		if again, ok := schedule.Prev(due.Add(1 + time.Duration(r.Int64N(int64(time.Second))))); !ok || !again.Equal(due) {
			dues = append(dues, "just after: "+again.UTC().Format(time.RFC3339))
		}
	}
	slices.Reverse(dues)
	return dues
}

// randomInstant is a whole minute of 1972 to 2100: a transition of the zone, mostly, or the last day of a leap year,
// when ZoneBounds errs, or any.
func randomInstant(r *rand.Rand, location *time.Location) time.Time {
	if r.IntN(10) == 0 {
		return time.Date(1972+4*r.IntN(32), 12, 31, r.IntN(24), r.IntN(60), 0, 0, location)
	}
	t := time.Unix(63072000+r.Int64N(128*366*86400), 0).In(location).Truncate(time.Minute)
	if _, end := t.ZoneBounds(); !end.IsZero() && end.Year() < 2100 && end.After(t) && r.IntN(5) > 0 {
		return end.Truncate(time.Minute)
	}
	return t
}
