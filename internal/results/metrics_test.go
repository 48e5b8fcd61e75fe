package results

import (
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/tactus-dev/tactus/domain"
)

// TestMeasuresRuns records answers of workers. If it is known how long a run took and how late its end was heard, each
// is counted once. A worker whose clock is off makes neither of them negative.
func TestMeasuresRuns(t *testing.T) {
	t.Parallel()
	s, now := newSite(t), time.Now()
	schedule := s.schedule(t, domain.Definition{})
	run := func() domain.ID { return s.run(t, schedule, domain.Sent, time.Hour) }
	c := s.collector(t, nil, nil, Config{})
	whole := answer{
		run: run(), status: domain.Succeeded, final: true,
		started: now.Add(-90 * time.Second), finished: now.Add(-30 * time.Second),
	}
	ahead := answer{
		run: run(), status: domain.Failed, final: true,
		started: now.Add(90 * time.Second), finished: now.Add(30 * time.Second),
	}
	for _, answers := range [][]answer{
		{whole},
		{whole}, // heard twice
		{ahead},
		{{run: run(), status: domain.Succeeded, final: true}},
		{{run: run(), status: domain.Expired, final: true, reason: "nobody took it"}},
		{{run: run(), status: domain.Started, started: now}},
	} {
		if locked, err := c.write(t.Context(), answers); err != nil || len(locked) > 0 {
			t.Fatal(locked, err)
		}
	}
	registry := prometheus.NewRegistry()
	if err := c.Register(registry); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]*dto.Histogram{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			status := ""
			for _, l := range m.GetLabel() {
				status = " " + l.GetValue()
			}
			got[f.GetName()+status] = m.GetHistogram()
		}
	}
	for name, want := range map[string]string{
		"tactus_run_duration_seconds succeeded": "1 of 60s", "tactus_run_duration_seconds failed": "1 of 0s",
		"tactus_results_lag_seconds": "2 of at least 30s",
	} {
		h := got[name]
		said := fmt.Sprintf("%d of %.0fs", h.GetSampleCount(), h.GetSampleSum())
		if sum := h.GetSampleSum(); name == "tactus_results_lag_seconds" && sum >= 30 {
			said = fmt.Sprintf("%d of at least 30s", h.GetSampleCount())
		}
		if said != want || h.Schema == nil || len(h.GetBucket()) == 0 {
			t.Errorf("%s: %s, want %s, in classic and native buckets: %v", name, said, want, h)
		}
	}
}
