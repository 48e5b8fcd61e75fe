package cron_test

import (
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tactus-dev/tactus/domain/cron"
	"github.com/tactus-dev/tactus/domain/zone"
)

// TestVectors runs the cases of testdata/dst.json: zone, expression, window, expected due times.
func TestVectors(t *testing.T) {
	t.Parallel()
	var cases []struct {
		Zone, Cron   string
		After, Until time.Time
		Fires        []string
	}
	text, err := os.ReadFile("testdata/dst.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		schedule := parseIn(t, c.Cron, c.Zone, cron.Options{})
		fires := []string{}
		for due := range schedule.Between(c.After, c.Until) {
			fires = append(fires, due.Format("2006-01-02T15:04:05-07:00"))
		}
		if diff := cmp.Diff(c.Fires, fires); diff != "" {
			t.Errorf("%s in %s (-want +got):\n%s", c.Cron, c.Zone, diff)
		}
	}
}

func parseIn(t testing.TB, expression, name string, o cron.Options) cron.Schedule {
	t.Helper()
	spec, err := cron.Parse(expression, o)
	if err != nil {
		t.Fatal(err)
	}
	location, err := zone.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	return spec.In(location, "", "")
}
