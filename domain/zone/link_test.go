package zone_test

import (
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain/zone"
)

// TestLink has each abbreviation of the database stand for a zone with its clocks.
func TestLink(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"CET", "EET", "EST", "HST", "MET", "MST", "WET"} {
		theirs, err := time.LoadLocation(name) // the host's, or Go's own
		if err != nil {
			t.Fatal(err)
		}
		ours, err := zone.Load(zone.Link(name))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC); at.Year() < 2030; at = at.Add(time.Hour) {
			if at.In(theirs).Format(time.DateTime) != at.In(ours).Format(time.DateTime) {
				t.Fatalf("%s is not %s at %s", name, ours, at)
			}
		}
	}
	if got := zone.Link("Asia/Tokyo"); got != "Asia/Tokyo" {
		t.Error(got)
	}
}
