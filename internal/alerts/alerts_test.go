package alerts

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/tactus-dev/tactus/internal/servers"
	"github.com/tactus-dev/tactus/internal/testenv"
)

const (
	root      = "../.."
	rulesFile = "deployments/prometheus/alerts.yaml"
	runbook   = "docs/runbook"
)

type rule struct {
	Alert, Expr string
	For         string
	Labels      map[string]string
	Annotations map[string]string
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func rules(t *testing.T) []rule {
	t.Helper()
	var file struct {
		Groups []struct{ Rules []rule }
	}
	if err := yaml.Unmarshal([]byte(read(t, rulesFile)), &file); err != nil {
		t.Fatal(err)
	}
	return file.Groups[0].Rules
}

// TestEveryAlertHasAPage holds that whoever is paged finds the page: what it means, what to look at, what to do, what
// is lost; and that pages link to pages that are there, and name figures that exist.
func TestEveryAlertHasAPage(t *testing.T) {
	index := read(t, runbook+"/README.md")
	metrics := read(t, "docs/metrics.md")
	pages, err := filepath.Glob(filepath.Join(root, runbook, "Tactus*.md"))
	if err != nil || len(pages) != len(rules(t)) {
		t.Errorf("%d pages of %d alerts, %v", len(pages), len(rules(t)), err)
	}
	figures := regexp.MustCompile(`tactus_[a-z_]+`)
	links := regexp.MustCompile(`\]\(([^)#]+)`)
	for _, r := range rules(t) {
		page := read(t, filepath.Join(runbook, r.Alert+".md"))
		for _, part := range []string{"# " + r.Alert, "## What it means", "## What to look at", "## What to do", "## What is lost meanwhile"} {
			if !strings.Contains(page, part+"\n") {
				t.Errorf("the page of %s has no %q", r.Alert, part)
			}
		}
		if want := fmt.Sprintf("| [%s](%s.md) | %s |", r.Alert, r.Alert, r.Labels["severity"]); !strings.Contains(index, want) {
			t.Errorf("the runbook has no line %s", want)
		}
		if r.Annotations["runbook"] != runbook+"/"+r.Alert+".md" || r.Annotations["summary"] == "" {
			t.Errorf("%s: %v", r.Alert, r.Annotations)
		}
		for _, figure := range figures.FindAllString(r.Expr+page, -1) {
			name := regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(figure, "")
			if !strings.Contains(metrics, "`"+name+"`") {
				t.Errorf("%s names %s, which no process measures", r.Alert, figure)
			}
		}
		for _, link := range links.FindAllStringSubmatch(page, -1) {
			if _, err := os.Stat(filepath.Join(root, runbook, link[1])); err != nil {
				t.Errorf("%s: %v", r.Alert, err)
			}
		}
	}
}

// cases has for each alert what makes it fire, and what does not: series as promtool writes them, a minute a step.
var cases = map[string]struct{ bad, good []string }{
	"TactusNothingFires": {
		[]string{`tactus_beat_leader{instance="a"} 0x60`, `tactus_beat_leader{instance="b"} _x60`},
		[]string{`tactus_beat_leader{instance="a"} 0x60`, `tactus_beat_leader{instance="b"} 1x60`},
	},
	"TactusFiresLate":         {[]string{`tactus_beat_firing_late_seconds 31x60`}, []string{`tactus_beat_firing_late_seconds 29x60`}},
	"TactusMissed":            {[]string{`tactus_beat_missed_ranges_total 0+1x60`}, []string{`tactus_beat_missed_ranges_total 7x60`}},
	"TactusDatabaseAway":      {[]string{`tactus_beat_database_age_seconds 0+60x60`}, []string{`tactus_beat_database_age_seconds 1x60`}},
	"TactusNoRelay":           {nil, []string{`tactus_beat_shadow 1x60`}},
	"TactusSinkNotServed":     {[]string{`tactus_relay_served{sink="events"} 0x60`}, []string{`tactus_relay_served{sink="events",instance="a"} 0x60`, `tactus_relay_served{sink="events",instance="b"} 1x60`}[1:]},
	"TactusUnpublished":       {[]string{`tactus_relay_oldest_unpublished_age_seconds{sink="celery"} 0+60x60`}, []string{`tactus_relay_oldest_unpublished_age_seconds{sink="celery"} 0x60`}},
	"TactusRelayBlind":        {[]string{`tactus_relay_reading_age_seconds{sink="celery"} 1000000x60`}, []string{`tactus_relay_reading_age_seconds{sink="celery"} 1x60`, `tactus_relay_reading_age_seconds{sink="events"} 99x60`}},
	"TactusSinkSilent":        {[]string{`tactus_relay_sink_silent_seconds{sink="old"} 4000x60`}, []string{`tactus_relay_sink_silent_seconds{sink="old"} 300x60`}},
	"TactusHandoverBehind":    {[]string{`tactus_beat_handover_behind_runs 5000x60`}, []string{`tactus_beat_handover_behind_runs 5000x55 0x10`}},
	"TactusDeadLetters":       {[]string{`tactus_deadletters{source="relay"} 1x60`}, []string{`tactus_deadletters{source="relay"} 0x60`}},
	"TactusInvalidSchedules":  {[]string{`tactus_schedules_invalid 1x60`}, []string{`tactus_schedules_invalid 0x60`}},
	"TactusAdoptFailures":     {[]string{`tactus_adopt_failures 1x60`}, []string{`tactus_adopt_failures 0x60`}},
	"TactusClockSkew":         {[]string{`tactus_beat_clock_skew_seconds -2x60`}, []string{`tactus_beat_clock_skew_seconds 0.5x60`}},
	"TactusClockStepped":      {[]string{`tactus_beat_clock_steps_total 0x50 1x10`}, []string{`tactus_beat_clock_steps_total 1x60`}},
	"TactusFeedGaps":          {[]string{`tactus_beat_feed_gaps_total 0+1x60`}, []string{`tactus_beat_feed_gaps_total 0x30 1x30`}},
	"TactusPartitionsShort":   {[]string{`tactus_partitions_ready{table="runs"} 0x60`}, []string{`tactus_partitions_ready{table="runs"} 2x60`}},
	"TactusZoneDataDiffers":   {[]string{`tactus_zone_data_versions 2x60`}, []string{`tactus_zone_data_versions 1x60`}},
	"TactusResultsUnreadable": {[]string{`tactus_results_unreadable_total 0x50 1x10`}, []string{`tactus_results_unreadable_total 3x60`}},
	"TactusNotificationsWait": {[]string{`tactus_notifications_waiting 2x60`}, []string{`tactus_notifications_waiting 60-1x60`}},
	"TactusAPIFails": {
		[]string{`tactus_http_requests_total{code="503"} 0+10x60`, `tactus_http_requests_total{code="200"} 0+100x60`},
		[]string{`tactus_http_requests_total{code="503"} 0+1x60`, `tactus_http_requests_total{code="404"} 0+100x60`},
	},
	"TactusNotReady": {
		[]string{`tactus_condition_failing{instance="a",condition="REDIS_URL"} 1x60`},
		[]string{`tactus_condition_failing{instance="a",condition="REDIS_URL"} 0x60`},
	},
}

// TestAlertsFire has Prometheus' own tool evaluate each rule by series that make it fire, and by series that do not.
func TestAlertsFire(t *testing.T) {
	t.Parallel()
	type promql struct {
		Expr    string           `yaml:"expr"`
		At      string           `yaml:"eval_time"`
		Samples []map[string]any `yaml:"exp_samples"`
	}
	type group struct {
		Interval string              `yaml:"interval"`
		Series   []map[string]string `yaml:"input_series"`
		Tests    []promql            `yaml:"promql_expr_test"`
	}
	var groups []group
	add := func(alert string, series []string, fires int) {
		g := group{Interval: "1m"}
		for _, s := range append(series, `up 1x60`) {
			at := strings.LastIndex(strings.TrimSpace(s), "} ")
			if at < 0 {
				at = strings.Index(s, " ") - 1
			}
			g.Series = append(g.Series, map[string]string{"series": s[:at+1], "values": strings.TrimSpace(s[at+1:])})
		}
		g.Tests = []promql{{
			Expr: fmt.Sprintf(`count(ALERTS{alertname=%q,alertstate="firing"}) or vector(0)`, alert), At: "60m",
			Samples: []map[string]any{{"labels": "{}", "value": fires}},
		}}
		groups = append(groups, g)
	}
	for _, r := range rules(t) {
		c, ok := cases[r.Alert]
		if !ok {
			t.Errorf("nothing tries %s", r.Alert)
			continue
		}
		add(r.Alert, c.bad, 1)
		add(r.Alert, c.good, 0)
	}
	if len(cases) != len(rules(t)) {
		t.Errorf("%d cases of %d rules", len(cases), len(rules(t)))
	}
	tests, err := yaml.Marshal(map[string]any{"rule_files": []string{"alerts.yaml"}, "evaluation_interval": "1m", "tests": groups})
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"alerts.yaml": read(t, rulesFile), "tests.yaml": string(tests)}
	for _, args := range [][]string{{"check", "rules", "alerts.yaml"}, {"test", "rules", "tests.yaml"}} {
		testenv.Promtool(t, "", files, args...)
	}
}

// TestAlertOfARealFault has a Prometheus scrape an api, a relay and a beat. It holds that every rule can be evaluated,
// that none fires when all is well, that a key of another type has the alert of its sink fire, and that it ends when
// the key is gone. The rules wait for nothing here, so that the test need not.
func TestAlertOfARealFault(t *testing.T) {
	t.Parallel()
	redis := testenv.RedisURL(t)
	client := testenv.Client(t, redis)
	atOnce := regexp.MustCompile(`(?m)^ +for: .*\n`).ReplaceAllString(read(t, rulesFile), "")
	prometheus := scraping(t, atOnce, start(t, redis)...)
	evaluated := func() error {
		var answer struct {
			Data struct {
				Groups []struct {
					Rules []struct{ Name, Health, LastError string }
				}
			}
		}
		if err := ask(prometheus, "/api/v1/rules", &answer); err != nil {
			return err
		}
		n := 0
		for _, r := range answer.Data.Groups[0].Rules {
			if n++; r.Health != "ok" {
				return fmt.Errorf("%s is %s: %s", r.Name, r.Health, r.LastError)
			}
		}
		if n != len(rules(t)) {
			return fmt.Errorf("%d rules", n)
		}
		return nil
	}
	testenv.Eventually(t, "every rule is evaluated", evaluated)
	firing := func(want ...string) func() error {
		return func() error {
			var answer struct {
				Data struct {
					Alerts []struct {
						Labels map[string]string
						State  string
					}
				}
			}
			if err := ask(prometheus, "/api/v1/alerts", &answer); err != nil {
				return err
			}
			var names []string
			for _, a := range answer.Data.Alerts {
				names = append(names, a.Labels["alertname"]+" "+a.Labels["sink"])
			}
			slices.Sort(names)
			if !slices.Equal(slices.Compact(names), want) {
				return fmt.Errorf("firing: %q", names)
			}
			return nil
		}
	}
	testenv.Eventually(t, "all is well", firing())
	if err := client.Set(t.Context(), "tactus:events", "x", 0).Err(); err != nil {
		t.Fatal(err)
	}
	sink := "TactusSinkNotServed events"
	testenv.Eventually(t, "the alert of the sink fires", func() error {
		err := firing(sink)()
		if err == nil || strings.Contains(err.Error(), `"`+sink+`"`) {
			return nil
		}
		return err
	})
	if err := client.Del(t.Context(), "tactus:events").Err(); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "the alert has ended", func() error {
		if err := firing()(); err != nil && strings.Contains(err.Error(), sink) {
			return err
		}
		return nil
	})
}

// start starts an api, a relay and a beat, and returns their addresses.
func start(t *testing.T, redis string) (targets []string) {
	t.Helper()
	env := []string{"DATABASE_URL=" + testenv.DatabaseURL(t), "REDIS_URL=" + redis}
	for _, process := range []string{"api", "relay", "beat"} {
		p := testenv.Program{Env: env}.Start(t, process, "--http-addr=127.0.0.1:0")
		p.AwaitReady()
		targets = append(targets, strings.TrimPrefix(p.URL(), "http://"))
	}
	return targets
}

// scraping starts a Prometheus with rules, that scrapes what listens at some addresses each second.
func scraping(t *testing.T, rules string, targets ...string) *servers.Prometheus {
	t.Helper()
	configuration, err := yaml.Marshal(map[string]any{
		"global":     map[string]string{"scrape_interval": "1s", "evaluation_interval": "1s"},
		"rule_files": []string{"alerts.yaml"},
		"scrape_configs": []any{map[string]any{
			"job_name": "tactus", "static_configs": []any{map[string]any{"targets": targets}},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return testenv.StartPrometheus(t, string(configuration), map[string]string{"alerts.yaml": rules})
}

func ask(p *servers.Prometheus, path string, into any) error {
	response, err := http.Get(p.URL() + path)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return errors.Join(err, errors.New(response.Status+": "+string(text)))
	}
	return json.Unmarshal(text, into)
}
