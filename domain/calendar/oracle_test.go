package calendar_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tactus-dev/tactus/domain/calendar"
	"github.com/tactus-dev/tactus/domain/cron"
	"github.com/tactus-dev/tactus/domain/zone"
)

// naive is a filter that goes through days, one by one, and through items as they are written.
type naive struct {
	sets     [][]calendar.Item
	only     bool
	on       string
	location *time.Location
	expr     string
	landings map[int64]landing // by the seconds of a local time: many due times look at the same days

	everywhere calendar.Recurrence // the same wall times, in UTC
}

// landing is what a due time that moves to a local time finds there.
type landing struct {
	at time.Time
	ok bool // there is such a time, and it is allowed
}

func (n naive) excluded(at time.Time) bool {
	held := false
	for _, items := range n.sets {
		for _, i := range items {
			held = held || holds(i, at.In(n.location))
		}
	}
	return held != n.only
}

func holds(i calendar.Item, at time.Time) bool {
	if i.RRule != "" { // weekends
		return at.Weekday() == time.Saturday || at.Weekday() == time.Sunday
	}
	if len(i.From) == len("2006-01-02") {
		to := max(i.To, i.From)
		today := at.Format("2006-01-02")
		return i.From <= today && today <= to
	}
	if from, err := time.Parse(time.RFC3339, i.From); err == nil {
		to, _ := time.Parse(time.RFC3339, i.To)
		return !at.Before(from) && at.Before(to)
	}
	wall := at.Format("2006-01-02T15:04:05")
	return i.From <= wall && wall < i.To
}

// due are all due times in a window, in order.
func (n naive) due(r calendar.Recurrence, from, to time.Time) (all []time.Time) {
	far := 60 * 24 * time.Hour
	if n.only {
		far = 400 * 24 * time.Hour
	}
	var own, excluded []time.Time
	for at, ok := r.Next(from.Add(-far)); ok && at.Before(to.Add(far)); at, ok = r.Next(at) {
		if n.excluded(at) {
			excluded = append(excluded, at)
		} else {
			own = append(own, at)
		}
	}
	all = slices.Clone(own)
	taken := map[string]bool{}
	for _, at := range own {
		taken[at.In(n.location).Format("2006-01-02")] = true
	}
	for _, at := range excluded {
		for _, wall := range n.shown(at) {
			if moved, ok := n.move(wall); ok && !(n.on == calendar.DropIfTaken && taken[moved.In(n.location).Format("2006-01-02")]) {
				all = append(all, moved)
			}
		}
	}
	slices.SortFunc(all, time.Time.Compare)
	all = slices.CompactFunc(all, time.Time.Equal)
	return slices.DeleteFunc(all, func(at time.Time) bool { return !at.After(from) || at.After(to) })
}

// shown are the local times at which something is due that is due at an instant: several, if the zone skipped some.
func (n naive) shown(at time.Time) (walls []time.Time) {
	offset := func(at time.Time) time.Duration {
		_, seconds := at.In(n.location).Zone()
		return time.Duration(seconds) * time.Second
	}
	from, to := at.UTC().Add(offset(at.Add(-time.Second))), at.UTC().Add(offset(at))
	if gap := to.Sub(from); gap <= 0 || gap > 3*time.Hour || strings.HasPrefix(n.expr, "*/") || from.Day() != to.Day() {
		return []time.Time{to}
	}
	due := n.everywhere
	for wall, ok := due.Next(from.Add(-1)); ok && !wall.After(to); wall, ok = due.Next(wall) {
		walls = append(walls, wall)
	}
	return walls
}

func (n naive) move(wall time.Time) (time.Time, bool) {
	step := 24 * time.Hour
	switch n.on {
	case calendar.Skip:
		return wall, false
	case calendar.PreviousAllowed:
		step = -step
	}
	for range calendar.MaxMove {
		wall = wall.Add(step)
		if there := n.land(wall); there.ok {
			return there.at, true
		}
	}
	return wall, false
}

func (n naive) land(wall time.Time) landing {
	there, known := n.landings[wall.Unix()]
	if !known {
		there.at, there.ok = cron.ResolveLocal(wall, n.location, cron.GapAuto, cron.OverlapAuto)
		there.ok = there.ok && !n.excluded(there.at)
		n.landings[wall.Unix()] = there
	}
	return there
}

// drawn is a recurrence, a filter and a window.
type drawn struct {
	zone string
	naive
	from time.Time
}

var zones = []struct{ name, around string }{
	{"Asia/Tokyo", "2026-12-20"},
	{"America/New_York", "2026-03-01"},
	{"America/New_York", "2026-10-25"},
	{"America/Sao_Paulo", "2018-10-28"},
	{"Australia/Lord_Howe", "2026-03-28"},
	{"Pacific/Apia", "2011-12-22"},
	{"Africa/Casablanca", "2026-02-08"},
}

func draw(t *rapid.T) drawn {
	z := rapid.SampledFrom(zones).Draw(t, "zone")
	location, err := zone.Load(z.name)
	if err != nil {
		t.Fatal(err)
	}
	around, _ := time.Parse("2006-01-02", z.around)
	d := drawn{zone: z.name}
	d.expr = rapid.SampledFrom([]string{
		"0 2,3 * * *", "15,45 0,2 * * 0", "0 9 * * *", "0 9 * * 1-5", "30 2 * * *", "0 9,15 * * 1", "0 0 1,15 * *", "*/45 * * * *", "30 1 * * 0", "0 12 LW * *", "0 0 * * *", "59 23 * * 5",
	}).Draw(t, "cron")
	d.everywhere = cronOf(t, d.expr, time.UTC)
	d.location, d.landings = location, map[int64]landing{}
	d.only = rapid.Bool().Draw(t, "only")
	d.on = rapid.SampledFrom(calendar.Choices).Draw(t, "on")
	for range rapid.IntRange(1, 2).Draw(t, "sets") {
		d.sets = append(d.sets, drawItems(t, around, location, d.only))
	}
	d.from = around.Add(time.Duration(rapid.IntRange(0, 20*24*60).Draw(t, "from")) * time.Minute)
	return d
}

func drawItems(t *rapid.T, around time.Time, location *time.Location, many bool) (items []calendar.Item) {
	most := 6
	if many {
		most = 14
	}
	for range rapid.IntRange(0, most).Draw(t, "items") {
		at := around.AddDate(0, 0, rapid.IntRange(-10, 40).Draw(t, "day"))
		days := rapid.SampledFrom([]int{0, 0, 0, 1, 3, 10}).Draw(t, "days")
		begin := at.Add(time.Duration(rapid.IntRange(0, 23).Draw(t, "hour")) * time.Hour)
		end := begin.Add(time.Duration(rapid.IntRange(1, 50).Draw(t, "hours")) * time.Hour)
		switch rapid.IntRange(0, 5).Draw(t, "kind") {
		case 0:
			items = append(items, calendar.Item{From: begin.Format("2006-01-02T15:04:05"), To: end.Format("2006-01-02T15:04:05")})
		case 1:
			items = append(items, calendar.Item{From: begin.Format(time.RFC3339), To: end.Format(time.RFC3339)})
		case 2:
			items = append(items, calendar.Item{From: "2000-01-01", To: "2000-01-02", RRule: "FREQ=WEEKLY"})
		default:
			items = append(items, calendar.Item{From: at.Format("2006-01-02"), To: at.AddDate(0, 0, days).Format("2006-01-02")})
		}
	}
	return items
}

// TestAgainstDays holds filters against one that goes through days, through changes of the clocks, forwards and
// backwards.
func TestAgainstDays(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := draw(t)
		r, filter := d.compiled(t)
		to := d.from.AddDate(0, 0, 25)
		want := d.due(cronOf(t, d.expr, d.location), d.from, to)
		var got []time.Time
		for at, ok := r.Next(d.from); ok && !at.After(to); at, ok = r.Next(at) {
			got = append(got, at)
		}
		same(t, d, "forwards", want, got)
		got = nil
		for at, ok := r.Prev(to.Add(1)); ok && at.After(d.from); at, ok = r.Prev(at) {
			got = append([]time.Time{at}, got...)
		}
		same(t, d, "backwards", want, got)
		for _, at := range want {
			if source, ok := calendar.Source(r, at); ok {
				if _, excluded := filter.Excluded(source); !excluded {
					t.Fatalf("%v: %s is said to have moved from %s, which is allowed", d, at, source)
				}
			}
		}
	})
}

func (d drawn) compiled(t *rapid.T) (calendar.Recurrence, *calendar.Filter) {
	f := &calendar.Filter{Only: d.only, On: d.on, Location: d.location, Gap: cron.GapAuto, Overlap: cron.OverlapAuto}
	for _, items := range d.sets {
		set, err := calendar.Compile(items)
		if err != nil {
			t.Fatal(err)
		}
		f.Sets = append(f.Sets, set)
	}
	return f.Apply(cronOf(t, d.expr, d.location)), f
}

type fataler interface{ Fatal(...any) }

func cronOf(t fataler, expression string, location *time.Location) calendar.Recurrence {
	spec, err := cron.Parse(expression, cron.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return spec.In(location, cron.GapAuto, cron.OverlapAuto)
}

func same(t *rapid.T, d drawn, way string, want, got []time.Time) {
	if !slices.EqualFunc(want, got, time.Time.Equal) {
		t.Fatalf("%s, %s %q on %s only %v, items %v, from %s:\nwant %s\n got %s", way, d.zone, d.expr, d.on, d.only, d.sets, d.from,
			texts(want, d.location), texts(got, d.location))
	}
}

func texts(all []time.Time, location *time.Location) (s string) {
	for _, at := range all {
		s += fmt.Sprintf("%s ", at.In(location).Format("01-02T15:04:05Z07:00"))
	}
	return s
}
