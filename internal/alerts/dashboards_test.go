package alerts

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/internal/testenv"
)

const dashboardsFolder = "deployments/grafana"

type dashboard struct {
	UID, Title, Description string
	Panels                  []panel
}

type panel struct {
	ID                       int
	Type, Title, Description string
	GridPos                  struct{ X, Y, W, H int }
	Targets                  []struct{ Expr, LegendFormat string }
}

// mayBeEmpty are the queries that answer nothing while all is well, or while nobody has run anything.
var mayBeEmpty = []string{
	`ALERTS{alertname=~"Tactus.*", alertstate="firing"}`,
	`tactus_condition_failing{job=~"$job"} == 1`,
}

func dashboards(t *testing.T) []dashboard {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, dashboardsFolder, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all []dashboard
	for _, file := range files {
		var d dashboard
		name := filepath.Base(file)
		if err := json.Unmarshal([]byte(read(t, filepath.Join(dashboardsFolder, name))), &d); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if d.UID != "tactus-"+strings.TrimSuffix(name, ".json") || d.Title == "" || d.Description == "" {
			t.Errorf("%s: uid %q, title %q, description %q", name, d.UID, d.Title, d.Description)
		}
		all = append(all, d)
	}
	if len(all) != 4 {
		t.Errorf("%d dashboards", len(all))
	}
	return all
}

// TestPanelsStand holds that each panel says what it shows, and covers no other; that its queries keep to the chosen
// jobs, and name figures that docs/metrics.md has.
func TestPanelsStand(t *testing.T) {
	metrics := read(t, "docs/metrics.md")
	selector := regexp.MustCompile(`\b((?:tactus|process|go)_[a-z_]+)(\{job=~"\$job")?`)
	for _, d := range dashboards(t) {
		taken, ids := map[[2]int]string{}, map[int]bool{}
		for _, p := range d.Panels {
			at, where := p.GridPos, d.Title+", "+p.Title
			if ids[p.ID] || p.Title == "" || p.Type != "row" && (p.Description == "" || len(p.Targets) == 0) {
				t.Errorf("%s: its id is another's, or it says too little: %+v", where, p)
			}
			ids[p.ID] = true
			if at.W < 1 || at.H < 1 || at.X < 0 || at.X+at.W > 24 {
				t.Errorf("%s stands outside: %+v", where, at)
			}
			for cell := range at.W * at.H {
				c := [2]int{at.X + cell%at.W, at.Y + cell/at.W}
				if taken[c] != "" {
					t.Fatalf("%s covers %s", where, taken[c])
				}
				taken[c] = where
			}
			for _, target := range p.Targets {
				for _, m := range selector.FindAllStringSubmatch(target.Expr, -1) {
					name := regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(m[1], "")
					if strings.HasPrefix(name, "tactus_") && !strings.Contains(metrics, "`"+name+"`") {
						t.Errorf("%s: no process measures %s", where, m[1])
					}
					if m[2] == "" && !strings.Contains(target.Expr, "and on (job, instance) "+m[1]) {
						t.Errorf("%s: %s is of all jobs", where, m[1])
					}
				}
			}
		}
	}
}

// TestPanelsShow has a Prometheus that scrapes an api, a relay and a beat answer the queries of all panels: with what
// is shown while all is well, and with the labels that the legends name.
func TestPanelsShow(t *testing.T) {
	t.Parallel()
	targets := start(t, testenv.RedisURL(t))
	prometheus := scraping(t, read(t, rulesFile), targets...)
	put(t, targets[0])
	grafana := strings.NewReplacer("$__rate_interval", "1m", "$__range", "5m", "$job", ".+")
	legend := regexp.MustCompile(`\{\{(\w+)\}\}`)
	for _, d := range dashboards(t) {
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				testenv.Eventually(t, d.Title+", "+p.Title+" shows "+target.Expr, func() error {
					var answer struct {
						Data struct {
							Result []struct{ Metric map[string]string }
						}
					}
					query := url.Values{"query": {grafana.Replace(target.Expr)}}
					if err := ask(prometheus, "/api/v1/query?"+query.Encode(), &answer); err != nil {
						return err
					}
					if len(answer.Data.Result) == 0 && !slices.Contains(mayBeEmpty, target.Expr) {
						return fmt.Errorf("no answer")
					}
					for _, series := range answer.Data.Result {
						for _, label := range legend.FindAllStringSubmatch(target.LegendFormat, -1) {
							if series.Metric[label[1]] == "" {
								return fmt.Errorf("no label %s: %v", label[1], series.Metric)
							}
						}
					}
					return nil
				})
			}
		}
	}
}

// put has an api make a schedule that fires each second.
func put(t *testing.T, target string) {
	t.Helper()
	body := strings.NewReader(`{"name":"n","task_name":"t","interval_seconds":1}`)
	response, err := http.Post("http://"+target+"/api/v1/schedules", "application/json", body)
	if err != nil {
		t.Fatal(err)
	}
	if err := response.Body.Close(); err != nil || response.StatusCode != http.StatusCreated {
		t.Fatal(response.Status, err)
	}
}
