package main

import (
	"math"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tactus-dev/tactus/beat"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestWhatABeatDoesNotKnow reads the metrics of a beat that has not reached PostgreSQL yet: who leads, and up to when
// all is settled, is no number.
func TestWhatABeatDoesNotKnow(t *testing.T) {
	t.Parallel()
	b, err := beat.New(testenv.Database(t), nil, beat.Config{Name: "a"})
	if err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(beatMetrics{beat: b})
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	unknown := map[string]bool{
		"tactus_beat_leader": true, "tactus_beat_lease_epoch": true, "tactus_beat_watermark_timestamp_seconds": true,
		"tactus_beat_watermark_lag_seconds": true,
	}
	for _, f := range families {
		value := f.GetMetric()[0].GetGauge().GetValue()
		if got := math.IsNaN(value); got != unknown[f.GetName()] {
			t.Errorf("%s is %v", f.GetName(), value)
		}
		delete(unknown, f.GetName())
	}
	if len(unknown) > 0 {
		t.Errorf("there is no %v", unknown)
	}
}
