package main

import (
	"math"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/relay"
)

// TestUnpublishedAge checks that the age is NaN while it is not known.
func TestUnpublishedAge(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, c := range map[string]struct {
		stats relay.Stats
		want  float64
	}{
		"nothing waits":   {relay.Stats{Known: now}, 0},
		"something waits": {relay.Stats{Known: now, Unpublished: now.Add(-time.Minute)}, 60},
		"it waited when known": {relay.Stats{
			Known: now.Add(-time.Hour), Unpublished: now.Add(-2 * time.Hour),
			Unsure: true,
		}, 7200},
		"never known":        {relay.Stats{}, math.NaN()},
		"not known now":      {relay.Stats{Known: now, Unsure: true}, math.NaN()},
		"not asked for long": {relay.Stats{Known: now.Add(-time.Minute)}, math.NaN()},
	} {
		if got := unpublishedAge(c.stats, now); got != c.want && !(math.IsNaN(got) && math.IsNaN(c.want)) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
