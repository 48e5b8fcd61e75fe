package main

import (
	"errors"
	"io"
	"math"
	"net/http"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/tactus-dev/tactus/beat"
	"github.com/tactus-dev/tactus/internal/processes"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestWhatABeatDoesNotKnow reads the metrics of a beat that has not reached PostgreSQL yet. What it does not know yet,
// whether it leads and how far the watermark is, is NaN.
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

// TestHistogramsAreTwofold reads a beat's histograms like a server that asks for native ones. It gets the native
// histograms and the classic buckets, with the same counts.
func TestHistogramsAreTwofold(t *testing.T) {
	t.Parallel()
	c := processes.New(t, testenv.DatabaseURL(t), testenv.RedisURL(t))
	b := c.Start("beat")
	c.Create(`{"name":"n","task_name":"t","interval_seconds":1}`)
	testenv.Eventually(t, "the lateness of runs is measured", func() error {
		h := scrapeFamilies(t, b.URL()+"/metrics")["tactus_beat_fire_lateness_seconds"].GetMetric()[0].GetHistogram()
		if h.GetSampleCount() < 2 {
			return errors.New("not yet")
		}
		fine, at := int64(h.GetZeroCount()), int64(0)
		for _, delta := range h.GetPositiveDelta() { // each delta is how much more its bucket has than the one before
			at += delta
			fine += at
		}
		most := h.GetBucket()[len(h.GetBucket())-1].GetCumulativeCount()
		if h.GetSchema() != beat.FineSchema || uint64(fine) != h.GetSampleCount() || most != h.GetSampleCount() {
			t.Fatalf("%d of %d, %d in native buckets: %v", most, h.GetSampleCount(), fine, h)
		}
		return nil
	})
}

// scrapeFamilies reads figures in the format that has native histograms.
func scrapeFamilies(t *testing.T, url string) map[string]*dto.MetricFamily {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", string(expfmt.NewFormat(expfmt.TypeProtoDelim)))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	families := map[string]*dto.MetricFamily{}
	for from := expfmt.NewDecoder(response.Body, expfmt.ResponseFormat(response.Header)); ; {
		f := &dto.MetricFamily{}
		if err := from.Decode(f); errors.Is(err, io.EOF) {
			return families
		} else if err != nil {
			t.Fatal(err)
		}
		families[f.GetName()] = f
	}
}
