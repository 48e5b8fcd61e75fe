package cron_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain/cron"
	"github.com/tactus-dev/tactus/domain/zone"
)

// TestResolveLocal walks through every minute around random transitions of random zones, notes which instants show
// which wall time, and asks for wall times of the middle day.
func TestResolveLocal(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(20261124, 4))
	names := zone.Names()
	seen := map[string]int{}
	for i := range 150 {
		name := names[r.IntN(len(names))]
		if i == 0 {
			name = "Pacific/Apia"
		}
		location, err := zone.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		middle := randomInstant(r, location)
		if i == 0 {
			middle = time.Date(2011, 12, 31, 0, 0, 0, 0, location) // the day before was left out
		}
		shown, jumps := walls(middle, location)
		for range 200 {
			_, offset := middle.Zone()
			wall := middle.UTC().Add(time.Duration(offset)*time.Second + time.Duration(r.IntN(600)-300)*time.Minute)
			seen[resolve(t, wall, location, shown[wall.Unix()], jumps)]++
		}
	}
	for _, kind := range []string{"once", "twice", "moved", "corrected"} {
		if seen[kind] == 0 {
			t.Errorf("no case of %q: %v", kind, seen)
		}
	}
}

// jump is a stretch of wall time that a zone skips, and the instant at which it does.
type jump struct {
	from, to time.Time
	at       time.Time
}

// walls are the instants that show each wall time, and the jumps, in the two days on both sides of middle.
func walls(middle time.Time, location *time.Location) (shown map[int64][]time.Time, jumps []jump) {
	shown = map[int64][]time.Time{}
	var previous time.Time
	for t := middle.Add(-48 * time.Hour); t.Before(middle.Add(48 * time.Hour)); t = t.Add(time.Minute) {
		_, offset := t.In(location).Zone()
		wall := t.UTC().Add(time.Duration(offset) * time.Second)
		shown[wall.Unix()] = append(shown[wall.Unix()], t)
		if !previous.IsZero() && wall.Sub(previous) > time.Minute {
			jumps = append(jumps, jump{previous.Add(time.Minute), wall, t})
		}
		previous = wall
	}
	return shown, jumps
}

// resolve compares ResolveLocal, under every policy, with what was shown, and tells what kind of case it was.
func resolve(t *testing.T, wall time.Time, location *time.Location, shown []time.Time, jumps []jump) (kind string) {
	t.Helper()
	for _, gap := range []cron.GapPolicy{cron.GapAuto, cron.GapRunAfter, cron.GapSkip} {
		for _, overlap := range []cron.OverlapPolicy{cron.OverlapAuto, cron.OverlapFirst, cron.OverlapSecond} {
			var want time.Time
			switch {
			case len(shown) == 1:
				kind, want = "once", shown[0]
			case len(shown) > 1:
				kind, want = "twice", shown[0]
				if overlap == cron.OverlapSecond {
					want = shown[1]
				}
			default:
				kind, want = skipped(wall, gap, jumps)
			}
			got, ok := cron.ResolveLocal(wall, location, gap, overlap)
			if ok == want.IsZero() || ok && !got.Equal(want) {
				t.Errorf("%s in %s (gap %s, overlap %s): %s, %v; want %s", wall.Format(time.DateTime), location, gap, overlap, got, ok, want)
			}
		}
	}
	return kind
}

func skipped(wall time.Time, gap cron.GapPolicy, jumps []jump) (kind string, want time.Time) {
	for _, j := range jumps {
		if wall.Before(j.from) || !wall.Before(j.to) {
			continue
		}
		if j.to.Sub(j.from) > 3*time.Hour {
			return "corrected", time.Time{}
		}
		if gap == cron.GapSkip {
			return "moved", time.Time{}
		}
		return "moved", j.at
	}
	return "unknown", time.Time{}
}
