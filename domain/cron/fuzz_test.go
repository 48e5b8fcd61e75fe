package cron

import (
	"reflect"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain/zone"
)

// FuzzParse holds, for any text, that Parse does not panic, that the canonical form of what it accepts is read as an
// equal Spec, and that Next is strictly later, in a zone with gaps and overlaps.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"*/5 * * * *", "30 9 * * mon-fri", "0 22-2 L,LW,15W,L-3 JAN-mar/2 fri#3,5L", "0 0 31 2 *", "@every 90s", "@daily",
		"TZ=Asia/Tokyo 0 0 29 2 1", "*/10 0 9 * * *", "0 0 13 * 5", "? 7/2 ? * 5-7", "1,,2 - / # L",
		"0 0 12 ? * MON-FRI", "0 /15 10 L-3W * ? 2027-2030", "0 0 0 ? 2 6#3,2L */2", "cron(0 10 ? * 6L 2026-2027)", "rate(5 minutes)",
		"at(2026-11-20T13:00:00)", "0 0 29 2 ? 2027/2", "0 0 0 5C * ?", "TZ=Asia/Tokyo cron( 0 0 ? * L * )",
	} {
		f.Add(seed, int64(1_793_505_600), false, uint8(0))
		f.Add(seed, int64(2_240_524_800), true, uint8(1))
		f.Add(seed, int64(1_793_505_600), false, uint8(2))
		f.Add(seed, int64(1_793_505_600), false, uint8(3))
	}
	location, err := zone.Load("America/New_York")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, expression string, unix int64, seconds bool, dialect uint8) {
		o := Options{Dialect: Dialects[int(dialect)%len(Dialects)], Seconds: seconds}
		spec, err := Parse(expression, o)
		if err != nil {
			_ = err.Error()
			return
		}
		again, err := Parse(spec.String(), o)
		if err != nil {
			t.Fatalf("%q became %q, which is refused: %v", expression, spec, err)
		}
		if a, b := meaning(spec), meaning(again); !reflect.DeepEqual(a, b) {
			t.Fatalf("%q became %q, which means something else:\n%+v\n%+v", expression, spec, a, b)
		}
		after := time.Unix(unix%(1<<33), 0)
		if due, ok := spec.In(location, "", "").Next(after); ok && !due.After(after) {
			t.Fatalf("%q is due at %s, which is not after %s", expression, due, after)
		}
		_ = spec.Describe(English) + spec.Describe(Japanese)
	})
}

// FuzzNext holds, for any expression that is accepted, any zone, any policies and any instant of 1970 to 2500, that
// Next is strictly later, that nothing is due in between, and that Prev gives the same due times.
func FuzzNext(f *testing.F) {
	names := zone.Names()
	for i, seed := range []string{"*/5 * * * *", "30 2 * * *", "0 0 29 2 1", "30 1 * * 0", "0 9 LW * *", "0 0 1W 1 1#1", "59 23 31 12 *"} {
		f.Add(seed, uint16(i*97), uint8(i), int64(i)*300_000_000)
	}
	gaps := []GapPolicy{GapAuto, GapRunAfter, GapSkip}
	overlaps := []OverlapPolicy{OverlapAuto, OverlapFirst, OverlapSecond, OverlapBoth}
	f.Fuzz(func(t *testing.T, expression string, zoneIndex uint16, policies uint8, unix int64) {
		spec, err := Parse(expression, Options{})
		if err != nil || spec.every > 0 || unix < 0 || unix > 16_725_225_600 {
			return
		}
		location, err := zone.Load(names[int(zoneIndex)%len(names)])
		if err != nil {
			t.Fatal(err)
		}
		schedule := spec.In(location, gaps[int(policies)%3], overlaps[int(policies/3)%4])
		after := time.Unix(unix, 0).In(location)
		due, ok := schedule.Next(after)
		if !ok {
			return
		}
		middle, ok := schedule.Next(after.Add(due.Sub(after) / 2))
		if !due.After(after) || !ok || !middle.Equal(due) {
			t.Fatalf("after %s: %s, but half way to it %s", after, due, middle)
		}
		if back, ok := schedule.Prev(due.Add(1)); !ok || !back.Equal(due) {
			t.Fatalf("%s is due, but just after it the last is %s, %v", due, back, ok)
		}
		if back, ok := schedule.Prev(due); ok && back.After(after) {
			t.Fatalf("%s is the first after %s, but %s is due before it", due, after, back)
		}
	})
}

// meaning is the spec without what the canonical form leaves out.
func meaning(s Spec) Spec {
	s.warnings = nil
	if s.rare != nil {
		named := *s.rare
		named.zone = ""
		s.rare = &named
		if named == (rare{}) {
			s.rare = nil
		}
	}
	return s
}
