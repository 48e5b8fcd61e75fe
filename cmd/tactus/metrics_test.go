package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/tactus-dev/tactus/internal/processes"
	"github.com/tactus-dev/tactus/internal/testenv"
)

const metricsDoc = "../../docs/metrics.md"

// TestMetricsAreDocumented reads what an api, a relay and a beat measure, has promtool check its names and units, and
// compares it with the table of docs/metrics.md, which -update writes.
func TestMetricsAreDocumented(t *testing.T) {
	t.Parallel()
	c := processes.New(t, testenv.DatabaseURL(t), testenv.RedisURL(t))
	c.Create(`{"name":"n","task_name":"t","interval_seconds":3600}`)
	families := map[string]*dto.MetricFamily{}
	of := map[string][]string{}
	for _, process := range []string{"api", "relay", "beat"} {
		p := c.Start(process)
		var text string
		testenv.Eventually(t, process+" has looked after its partitions, and counts a request", func() error {
			if text = scrape(t, p.URL()+"/metrics"); !strings.Contains(text, `route="/metrics"`) ||
				!strings.Contains(text, "tactus_partitions_ready{") ||
				process == "beat" && !strings.Contains(text, "tactus_beat_feed_lag_events ") {
				return errors.New("not yet")
			}
			return nil
		})
		testenv.Promtool(t, text, nil, "check", "metrics")
		parser := expfmt.NewTextParser(model.LegacyValidation)
		read, err := parser.TextToMetricFamilies(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		for name, family := range read {
			if strings.HasPrefix(name, "tactus_") {
				families[name] = family
				of[name] = append(of[name], process)
			}
		}
	}
	var table strings.Builder
	for _, name := range slices.Sorted(maps.Keys(families)) {
		f := families[name]
		fmt.Fprintf(&table, "| `%s` | %s | %s | %s | %s |\n", name, strings.ToLower(f.GetType().String()), labels(f),
			strings.Join(of[name], ", "), strings.ReplaceAll(f.GetHelp(), "|", `\|`))
	}
	raw, err := os.ReadFile(metricsDoc)
	if err != nil {
		t.Fatal(err)
	}
	const head = "|---|---|---|---|---|\n"
	before, rest, found := strings.Cut(string(raw), head)
	_, after, ended := strings.Cut(rest, "\n\n")
	if !found || !ended {
		t.Fatalf("%s has no table, or no text after it", metricsDoc)
	}
	want := before + head + table.String() + "\n" + after
	if *update {
		if err := os.WriteFile(metricsDoc, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if want != string(raw) {
		t.Errorf("%s is not what is measured: go test ./cmd/tactus -run MetricsAreDocumented -update\n%s", metricsDoc,
			table.String())
	}
}

func scrape(t *testing.T, url string) string {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatal(response.Status, err)
	}
	return string(raw)
}

// labels returns the names of the labels of a family.
func labels(f *dto.MetricFamily) string {
	names := map[string]bool{}
	for _, m := range f.GetMetric() {
		for _, l := range m.GetLabel() {
			names["`"+l.GetName()+"`"] = true
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(names)), ", ")
}
