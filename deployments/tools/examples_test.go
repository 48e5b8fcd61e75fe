package tools

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/strvals"
	core "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// example reads the manifests of a file of deployments/helm/examples by kind and name.
func example(t *testing.T, file string) map[string]map[string]any {
	t.Helper()
	text, err := os.ReadFile("../helm/examples/" + file)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]map[string]any{}
	for _, o := range objects(t, string(text)) {
		m := map[string]any{}
		decode(t, o, &m)
		all[o.Kind+"/"+o.Metadata.Name] = m
	}
	return all
}

// TestExamplesFitTogether checks that the values of the example name what the operators make of its other manifests,
// and that the manifests ask for what the manual says of them.
func TestExamplesFitTogether(t *testing.T) {
	v := values(t, "../helm/examples/values.yaml")
	cluster := example(t, "postgres.yaml")["Cluster/tactus-db"]
	if at[string](v, "secrets", "DATABASE_URL", "name") != "tactus-db-app" || at[string](v, "secrets", "DATABASE_URL", "key") != "uri" {
		t.Errorf("the operator makes tactus-db-app with the key uri: %v", v["secrets"])
	}
	if owner := at[string](cluster, "spec", "bootstrap", "initdb", "owner"); owner != "tactus_owner" || owner == at[string](cluster, "spec", "bootstrap", "initdb", "database") {
		t.Errorf("the owner is %q: docs/roles.md", owner)
	}
	if at[float64](cluster, "spec", "instances") != 3 || at[float64](cluster, "spec", "postgresql", "synchronous", "number") != 1 {
		t.Errorf("a commit is not on two of three machines: %v", cluster["spec"])
	}
	pod := components(t, rendered(t, "../helm/examples/values.yaml"))["api"].pod.Spec
	if !slices.ContainsFunc(pod.Volumes, hasSecret("tactus-db-ca")) {
		t.Errorf("nothing mounts the issuer of PostgreSQL's certificates: %v", pod.Volumes)
	}
	servers := example(t, "redis.yaml")
	sentinels, master := servers["RedisSentinel/tactus-redis"], servers["RedisReplication/tactus-redis"]
	name := at[string](sentinels, "spec", "redisSentinelConfig", "masterGroupName")
	if at[string](sentinels, "spec", "redisSentinelConfig", "redisReplicationName") != "tactus-redis" || master == nil {
		t.Error("the Sentinels look after something else")
	}
	text, err := os.ReadFile("../helm/examples/redis.yaml")
	if err != nil {
		t.Fatal(err)
	}
	secret, key := at[string](v, "secrets", "REDIS_URL", "name"), at[string](v, "secrets", "REDIS_URL", "key")
	if want := "redis+sentinel://:$password@tactus-redis-sentinel:26379/" + name + "/0?sentinel_password=$password"; !strings.Contains(string(text), want) ||
		!strings.Contains(string(text), "create secret generic "+secret+" ") || !strings.Contains(string(text), "--from-literal="+key+"=") {
		t.Errorf("nothing makes the secret %s with %s=%s", secret, key, want)
	}
	config := at[string](servers["ConfigMap/"+at[string](master, "spec", "redisConfig", "additionalRedisConfig")], "data", "redis-additional.conf")
	if !strings.Contains(config, "maxmemory-policy noeviction") {
		t.Errorf("Redis may evict tasks: %s", config)
	}
}

// TestManifestsOfTheManualAreRead reads the manifests in docs/kubernetes.md.
func TestManifestsOfTheManualAreRead(t *testing.T) {
	text, err := os.ReadFile("../../docs/kubernetes.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(text), "```yaml\n")[1:]
	if len(blocks) == 0 {
		t.Fatal("there is none")
	}
	for _, block := range blocks {
		block, _, _ = strings.Cut(block, "```")
		m := map[string]any{}
		if err := yaml.UnmarshalStrict([]byte(block), &m); err != nil || m["kind"] == nil {
			t.Errorf("%v:\n%s", err, block)
		}
	}
}

// TestCommandsOfTheManualRender renders the chart with the values of each helm command in docs/kubernetes.md. An
// upgrade goes on from what the first one has installed.
func TestCommandsOfTheManualRender(t *testing.T) {
	text, err := os.ReadFile("../../docs/kubernetes.md")
	if err != nil {
		t.Fatal(err)
	}
	installed := map[string]any{}
	for line := range strings.Lines(strings.ReplaceAll(string(text), "\\\n", "")) {
		words := strings.Fields(line)
		if len(words) < 5 || words[0] != "helm" {
			continue
		}
		given := map[string]any{}
		if words[3] == "upgrade" {
			given = chartutil.CoalesceTables(given, installed)
		}
		for i, word := range words {
			switch word {
			case "-f":
				given = chartutil.CoalesceTables(given, values(t, filepath.Join(top, words[i+1])))
			case "--set":
				if err := strvals.ParseInto(words[i+1], given); err != nil {
					t.Errorf("%s: %v", word, err)
				}
			}
		}
		if _, err := render(t, given, 1); err != nil {
			t.Errorf("%s: %v", line, err)
		}
		if len(installed) == 0 {
			installed = given
		}
	}
	if len(installed) == 0 {
		t.Error("there is none")
	}
}

func hasSecret(name string) func(core.Volume) bool {
	return func(v core.Volume) bool { return v.Secret != nil && v.Secret.SecretName == name }
}
