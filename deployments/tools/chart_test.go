package tools

import (
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	"sigs.k8s.io/yaml"
)

const (
	chartDir = "../helm/tactus"
	kept     = "testdata/chart"
)

var update = flag.Bool("update", false, "write what is compared anew")

// cases are the values for which manifests are kept: those of testdata, and those of the example of docs/kubernetes.md.
func cases(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob(kept + "/*.values.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	found := map[string]string{"available": "../helm/examples/values.yaml"}
	for _, file := range files {
		found[strings.TrimSuffix(filepath.Base(file), ".values.yaml")] = file
	}
	return found
}

func values(t *testing.T, file string) map[string]any {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	v := map[string]any{}
	if err := yaml.UnmarshalStrict(text, &v); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return v
}

func theChart(t *testing.T) *chart.Chart {
	t.Helper()
	c, err := loader.LoadDir(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// render renders the chart as helm install does, or returns the error that helm would print.
func render(t *testing.T, given map[string]any, revision int) (string, error) {
	t.Helper()
	c := theChart(t)
	release := chartutil.ReleaseOptions{Name: "tactus", Namespace: "beats", Revision: revision, IsInstall: true}
	in, err := chartutil.ToRenderValues(c, given, release, chartutil.DefaultCapabilities)
	if err != nil {
		return "", err
	}
	files, err := engine.Render(c, in)
	if err != nil {
		return "", err
	}
	var all strings.Builder
	for _, name := range slices.Sorted(maps.Keys(files)) {
		text := strings.TrimSpace(files[name])
		if strings.HasSuffix(name, ".yaml") && text != "" {
			all.WriteString("---\n# " + name + "\n" + strings.TrimPrefix(text, "---\n") + "\n")
		}
	}
	return all.String(), nil
}

func rendered(t *testing.T, file string) string {
	t.Helper()
	text, err := render(t, values(t, file), 1)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return text
}

// compare compares a file with what it should hold, and writes it with -update.
func compare(t *testing.T, file, want string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) == want {
		return
	}
	has, wants := strings.Split(string(got), "\n"), strings.Split(want, "\n")
	for n := range min(len(has), len(wants)) {
		if has[n] != wants[n] {
			t.Errorf("%s:%d: %q, want %q (-update writes it)", file, n+1, has[n], wants[n])
			return
		}
	}
	t.Errorf("%s has %d lines, want %d (-update writes it)", file, len(has), len(wants))
}

// TestChart compares what the chart makes of each values file with the manifests that are kept.
func TestChart(t *testing.T) {
	for name, file := range cases(t) {
		t.Run(name, func(t *testing.T) { compare(t, kept+"/"+name+".yaml", rendered(t, file)) })
	}
}

// TestChartIsLinted has helm's own linter look at the chart with the values of each case.
func TestChartIsLinted(t *testing.T) {
	for name, file := range cases(t) {
		for _, message := range lint.All(chartDir, values(t, file), "beats", true).Messages {
			if message.Severity > support.InfoSev {
				t.Errorf("%s: %v", name, message)
			}
		}
	}
}

// TestEachRevisionHasAJobOfItsOwn checks that an upgrade does not try to change a Job, which Kubernetes refuses:
// neither by Helm, whose revisions rise, nor where they do not and the pod is another one.
func TestEachRevisionHasAJobOfItsOwn(t *testing.T) {
	minimal := cases(t)["minimal"]
	names := map[string]bool{}
	for revision, tag := range []string{"", "", "v2"} {
		v := values(t, minimal)
		v["image"].(map[string]any)["tag"] = tag
		text, err := render(t, v, max(revision, 1)) // 1, 1, 2
		if err != nil {
			t.Fatal(err)
		}
		names[jobName(t, text)] = true
		if text, err = render(t, v, 7); err != nil {
			t.Fatal(err)
		}
		names[jobName(t, text)] = true
	}
	if len(names) != 4 { // two pods, each as revision 7 and as another
		t.Errorf("%v", slices.Sorted(maps.Keys(names)))
	}
}

func jobName(t *testing.T, manifests string) string {
	t.Helper()
	for _, o := range objects(t, manifests) {
		if o.Kind == "Job" {
			return o.Metadata.Name
		}
	}
	t.Fatal("there is no Job")
	return ""
}

// TestBadValuesAreRefused checks that values which cannot be meant are refused, and that the refusal names them.
func TestBadValuesAreRefused(t *testing.T) {
	for _, c := range []struct{ name, values, names string }{
		{"no image", `image: {repository: ""}`, "/image/repository"},
		{"an image with its tag", `image: {repository: "a/b:v1"}`, "/image/repository"},
		{"a digest that is none", `image: {repository: a, digest: "sha256:12"}`, "/image/digest"},
		{"an unknown value", `replicas: 3`, "replicas"},
		{"an unknown value of a component", `beat: {replica: 3}`, "replica"},
		{"an unknown secret", `secrets: {POSTGRES: {name: a}}`, "POSTGRES"},
		{"a secret's text", `secrets: {DATABASE_URL: postgres://a}`, "/secrets/DATABASE_URL"},
		{"a negative number of pods", `relay: {replicas: -1}`, "/relay/replicas"},
		{"half a pod", `relay: {replicas: 1.5}`, "/relay/replicas"},
		{"a misspelt setting", `env: {TACTUS_RUN_RETENTON: 24h}`, "TACTUS_RUN_RETENTON"},
		{"a setting of another component", `api: {env: {TACTUS_BEAT_SHADOW: true}}`, "TACTUS_BEAT_SHADOW"},
		{"a setting that the chart makes", `api: {env: {TACTUS_DRAIN: 60s}}`, "TACTUS_DRAIN"},
		{"a setting of two words", `env: {"A B": c}`, "A B"},
		{"a list as a setting", `env: {TACTUS_ALLOWED_HOSTS: [a, b]}`, "/env/TACTUS_ALLOWED_HOSTS"},
		{"a drain in words", `api: {drainSeconds: 5s}`, "/api/drainSeconds"},
		{"an unknown type of service", `api: {service: {type: External}}`, "/api/service/type"},
		{"an unknown policy of pulling", `image: {repository: a, pullPolicy: Sometimes}`, "/image/pullPolicy"},
		{"more at least than at most", `api: {autoscaling: {enabled: true, minReplicas: 9}}`, "minReplicas 9 is more than maxReplicas 6"},
		{"a setting from two places", `env: {REDIS_URL: "redis://a"}`, "REDIS_URL is both in secrets and in env of relay"},
		{"a setting from a file and a secret", `beat: {env: {DATABASE_URL_FILE: /a}}`, "DATABASE_URL is both in secrets and in env of beat"},
		{"nobody says who may call", `env: {TACTUS_AUTH: ""}`, "env.TACTUS_AUTH is empty for relay"},
		{"no addresses", `secrets: {DATABASE_URL: {name: ""}, REDIS_URL: {name: ""}}`, "migrate has no DATABASE_URL"},
		{"no address of Redis", `secrets: {DATABASE_URL: {name: ""}, REDIS_URL: {name: ""}}`, "beat has no REDIS_URL"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, bad := values(t, cases(t)["minimal"]), map[string]any{}
			if err := yaml.UnmarshalStrict([]byte(c.values), &bad); err != nil {
				t.Fatal(err)
			}
			_, err := render(t, chartutil.CoalesceTables(bad, v), 1)
			if err == nil || !strings.Contains(err.Error(), c.names) {
				t.Errorf("%v, which does not say %q", err, c.names)
			}
		})
	}
}

// TestCopiesInTheChartAreTheOriginals compares what the chart carries with the files that it is copied from: Helm
// packs nothing from outside of a chart's folder.
func TestCopiesInTheChartAreTheOriginals(t *testing.T) {
	originals := map[string]string{"../prometheus/alerts.yaml": chartDir + "/files/alerts.yaml"}
	dashboards, err := filepath.Glob("../grafana/*.json")
	if err != nil || len(dashboards) == 0 {
		t.Fatalf("%v, %v", dashboards, err)
	}
	for _, file := range dashboards {
		originals[file] = chartDir + "/files/dashboards/" + filepath.Base(file)
	}
	for original, copied := range originals {
		text, err := os.ReadFile(original)
		if err != nil {
			t.Fatal(err)
		}
		compare(t, copied, string(text))
	}
	err = filepath.WalkDir(chartDir+"/files", func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && !slices.Contains(slices.Collect(maps.Values(originals)), path) {
			t.Errorf("%s is a copy of nothing", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
