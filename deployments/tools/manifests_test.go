package tools

import (
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"
)

// object is what each manifest begins with, and its own text.
type object struct {
	APIVersion string
	Kind       string
	Metadata   struct {
		Name      string
		Namespace string
		Labels    map[string]string
	}
	text string
}

// kinds are the types of Kubernetes and of the Prometheus Operator for what the chart makes.
var kinds = map[string]any{
	"v1/ConfigMap": core.ConfigMap{}, "v1/Service": core.Service{}, "v1/ServiceAccount": core.ServiceAccount{},
	"apps/v1/Deployment": apps.Deployment{}, "batch/v1/Job": batch.Job{},
	"autoscaling/v2/HorizontalPodAutoscaler":  autoscaling.HorizontalPodAutoscaler{},
	"networking.k8s.io/v1/NetworkPolicy":      networking.NetworkPolicy{},
	"policy/v1/PodDisruptionBudget":           policy.PodDisruptionBudget{},
	"monitoring.coreos.com/v1/PrometheusRule": monitoring.PrometheusRule{},
	"monitoring.coreos.com/v1/ServiceMonitor": monitoring.ServiceMonitor{},
}

func objects(t *testing.T, manifests string) (all []object) {
	t.Helper()
	for text := range strings.SplitSeq("\n"+manifests, "\n---\n") {
		if strings.TrimSpace(text) == "" {
			continue
		}
		o := object{text: text}
		if err := yaml.Unmarshal([]byte(text), &o); err != nil {
			t.Fatalf("%v:\n%s", err, text)
		}
		all = append(all, o)
	}
	return all
}

// decode reads a manifest into a type of its kind, and refuses members that the type does not have, or has twice.
func decode(t *testing.T, o object, into any) {
	t.Helper()
	if err := yaml.UnmarshalStrict([]byte(o.text), into); err != nil {
		t.Errorf("%s %s: %v", o.Kind, o.Metadata.Name, err)
	}
}

// component is a component as it is deployed.
type component struct {
	name      string
	namespace string
	selector  map[string]string // nil for the Job
	pod       core.PodTemplateSpec
}

func (c component) container() core.Container { return c.pod.Spec.Containers[0] }

func (c component) env() map[string]string {
	all := map[string]string{}
	for _, e := range c.container().Env {
		all[e.Name] = e.Value
	}
	return all
}

func components(t *testing.T, manifests string) map[string]component {
	t.Helper()
	all := map[string]component{}
	for _, o := range objects(t, manifests) {
		c := component{name: o.Metadata.Name, namespace: o.Metadata.Namespace}
		switch o.Kind {
		case "Deployment":
			var d apps.Deployment
			decode(t, o, &d)
			c.pod, c.selector = d.Spec.Template, d.Spec.Selector.MatchLabels
		case "Job":
			var j batch.Job
			decode(t, o, &j)
			c.pod = j.Spec.Template
		default:
			continue
		}
		all[o.Metadata.Labels["app.kubernetes.io/component"]] = c
	}
	return all
}

// TestManifestsAreReadByKubernetes reads every manifest by the types of Kubernetes, and checks that names are of one
// namespace, used once, and short enough for a label.
func TestManifestsAreReadByKubernetes(t *testing.T) {
	for name, file := range cases(t) {
		seen := map[string]bool{}
		for _, o := range objects(t, rendered(t, file)) {
			kind, known := kinds[o.APIVersion+"/"+o.Kind]
			if !known {
				t.Errorf("%s: %s/%s is no kind that the test knows", name, o.APIVersion, o.Kind)
				continue
			}
			decode(t, o, reflect.New(reflect.TypeOf(kind)).Interface())
			id := o.Kind + " " + o.Metadata.Name
			if seen[id] || len(o.Metadata.Name) > 63 || o.Metadata.Namespace != "beats" {
				t.Errorf("%s: %s of namespace %q", name, id, o.Metadata.Namespace)
			}
			seen[id] = true
			for label, value := range o.Metadata.Labels {
				if len(value) > 63 || strings.ContainsAny(value, "+/@ ") {
					t.Errorf("%s: %s: label %s=%s", name, id, label, value)
				}
			}
		}
	}
}

// TestManifestsFitTogether checks what points from one manifest to another: selectors, ports, volumes and targets.
func TestManifestsFitTogether(t *testing.T) {
	for name, file := range cases(t) {
		manifests := rendered(t, file)
		pods := components(t, manifests)
		for what, c := range pods {
			spec, volumes := c.pod.Spec, map[string]bool{}
			for _, v := range spec.Volumes {
				volumes[v.Name] = true
			}
			for _, m := range c.container().VolumeMounts {
				if !volumes[m.Name] || !m.ReadOnly {
					t.Errorf("%s: %s mounts %+v of %v", name, what, m, volumes)
				}
			}
			if c.selector != nil && !selects(c.selector, c.pod.Labels) {
				t.Errorf("%s: %s selects %v, its pods have %v", name, what, c.selector, c.pod.Labels)
			}
		}
		for _, o := range objects(t, manifests) {
			c, of := pods[o.Metadata.Labels["app.kubernetes.io/component"]]
			switch o.Kind {
			case "Service":
				var s core.Service
				decode(t, o, &s)
				if !of || !selects(s.Spec.Selector, c.pod.Labels) || s.Spec.Ports[0].TargetPort.StrVal != c.container().Ports[0].Name {
					t.Errorf("%s: Service %s: %+v", name, o.Metadata.Name, s.Spec)
				}
			case "PodDisruptionBudget":
				var b policy.PodDisruptionBudget
				decode(t, o, &b)
				if !of || !selects(b.Spec.Selector.MatchLabels, c.pod.Labels) {
					t.Errorf("%s: %s selects %v", name, o.Metadata.Name, b.Spec.Selector)
				}
			case "NetworkPolicy":
				var p networking.NetworkPolicy
				decode(t, o, &p)
				if !of || !selects(p.Spec.PodSelector.MatchLabels, c.pod.Labels) || len(p.Spec.PolicyTypes) != 2 {
					t.Errorf("%s: %s selects %v", name, o.Metadata.Name, p.Spec.PodSelector)
				}
			case "HorizontalPodAutoscaler":
				var h autoscaling.HorizontalPodAutoscaler
				decode(t, o, &h)
				if h.Spec.ScaleTargetRef.Name != pods["api"].name || h.Spec.ScaleTargetRef.Kind != "Deployment" {
					t.Errorf("%s: scales %+v", name, h.Spec.ScaleTargetRef)
				}
			case "ServiceMonitor":
				var m monitoring.ServiceMonitor
				decode(t, o, &m)
				for _, other := range objects(t, manifests) {
					if other.Kind == "Service" && !selects(m.Spec.Selector.MatchLabels, other.Metadata.Labels) {
						t.Errorf("%s: Prometheus does not read %s", name, other.Metadata.Name)
					}
				}
			}
		}
	}
}

func selects(selector, labels map[string]string) bool {
	for name, value := range selector {
		if labels[name] != value {
			return false
		}
	}
	return len(selector) > 0
}

// TestPodsHaveNoPowers checks every pod against Kubernetes' Pod Security Standard "restricted", and against what the
// program can do without on top of it: a token, a file system to write to, a user of its own.
func TestPodsHaveNoPowers(t *testing.T) {
	for name, file := range cases(t) {
		for what, c := range components(t, rendered(t, file)) {
			spec, in, at := c.pod.Spec, c.container().SecurityContext, name+": "+what
			outer := spec.SecurityContext
			if spec.AutomountServiceAccountToken == nil || *spec.AutomountServiceAccountToken {
				t.Errorf("%s has a token", at)
			}
			if spec.HostNetwork || spec.HostPID || spec.HostIPC || len(spec.Containers) != 1 || len(spec.InitContainers) > 0 {
				t.Errorf("%s: %+v", at, spec)
			}
			if outer.RunAsNonRoot == nil || !*outer.RunAsNonRoot || outer.SeccompProfile.Type != core.SeccompProfileTypeRuntimeDefault {
				t.Errorf("%s: %+v", at, outer)
			}
			if outer.RunAsUser != nil || in.RunAsUser != nil || outer.FSGroup != nil {
				t.Errorf("%s names a user, and OpenShift gives it another one", at)
			}
			if in.AllowPrivilegeEscalation == nil || *in.AllowPrivilegeEscalation || in.ReadOnlyRootFilesystem == nil || !*in.ReadOnlyRootFilesystem ||
				in.Privileged != nil || !slices.Equal(in.Capabilities.Drop, []core.Capability{"ALL"}) || len(in.Capabilities.Add) > 0 {
				t.Errorf("%s: %+v", at, in)
			}
			for _, v := range spec.Volumes {
				if v.HostPath != nil {
					t.Errorf("%s mounts %s of the node", at, v.HostPath.Path)
				}
			}
		}
	}
}

// TestPodsAreGivenWhatTheyRead checks by the program's own help that each component is given every secret that it
// reads and was named, as a file that any user can read, and no other secret; and that it reads each of its settings.
func TestPodsAreGivenWhatTheyRead(t *testing.T) {
	for name, file := range cases(t) {
		v := values(t, file)
		for what, c := range components(t, rendered(t, file)) {
			known, want, got := understood(t, what), []string{}, []string{}
			for setting, from := range at[map[string]any](v, "secrets") {
				if known[setting] && from.(map[string]any)["name"] != "" {
					want = append(want, setting)
				}
			}
			for _, volume := range c.pod.Spec.Volumes {
				if volume.Projected == nil {
					continue
				}
				for _, source := range volume.Projected.Sources {
					got = append(got, source.Secret.Items[0].Path)
				}
				if *volume.Projected.DefaultMode != 0o444 {
					t.Errorf("%s: the secrets of %s have mode %o", name, what, *volume.Projected.DefaultMode)
				}
			}
			slices.Sort(want)
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("%s: %s is given %v, and reads %v", name, what, got, want)
			}
			env := c.env()
			for _, setting := range got {
				if env[setting+"_FILE"] != "/etc/tactus/secrets/"+setting {
					t.Errorf("%s: %s looks for %s at %q", name, what, setting, env[setting+"_FILE"])
				}
			}
			common, own := at[map[string]any](v, "env"), at[map[string]any](v, what, "env")
			for setting := range env {
				_, everywhere := common[setting]
				_, here := own[setting]
				if !known[setting] && !known[strings.TrimSuffix(setting, "_FILE")] && !everywhere && !strings.HasPrefix(setting, "TACTUS_AUTH") &&
					!strings.HasPrefix(setting, "TACTUS_LOG") || here && !known[setting] {
					t.Errorf("%s: tactus %s does not read %s", name, what, setting)
				}
			}
		}
	}
}

// at returns what values have at a path, or nothing of its type.
func at[T any](v map[string]any, path ...string) (found T) {
	var here any = v
	for _, name := range path {
		m, ok := here.(map[string]any)
		if !ok {
			return found
		}
		here = m[name]
	}
	found, _ = here.(T)
	return found
}

// TestPodsAreKilledLaterThanTheyStop checks that Kubernetes waits for longer than the program takes to stop:
// docs/operation.md, "Stopping".
func TestPodsAreKilledLaterThanTheyStop(t *testing.T) {
	manual, err := os.ReadFile("../../docs/operation.md")
	if err != nil || !strings.Contains(string(manual), "Stopping takes 20 s at most (15 s and the drain, where that is longer)") {
		t.Fatalf("docs/operation.md says something else of stopping now: %v", err)
	}
	for name, file := range cases(t) {
		for what, c := range components(t, rendered(t, file)) {
			takes := 20
			if drain, ok := strings.CutSuffix(c.env()["TACTUS_DRAIN"], "s"); ok {
				seconds, err := strconv.Atoi(drain)
				if err != nil {
					t.Fatal(err)
				}
				takes = max(takes, 15+seconds)
			} else if what == "api" {
				t.Errorf("%s: the api has no drain: %v", name, c.env())
			}
			if grace := c.pod.Spec.TerminationGracePeriodSeconds; grace == nil || *grace < int64(takes+5) {
				t.Errorf("%s: %s takes %d s, and is killed after %v", name, what, takes, grace)
			}
		}
	}
}
