package tools

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// project loads compose.yaml as compose does, with the given environment only.
func project(t *testing.T, env ...string) *types.Project {
	t.Helper()
	return load(t, env, "../compose.yaml")
}

// projects loads what compose.yaml is without and with TLS.
func projects(t *testing.T) map[string]*types.Project {
	t.Helper()
	return map[string]*types.Project{"plain": project(t), "tls": load(t, nil, "../compose.yaml", "../compose.tls.yaml")}
}

func load(t *testing.T, env []string, files ...string) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions(files, cli.WithEnv(env), cli.WithResolvedPaths(true))
	if err != nil {
		t.Fatal(err)
	}
	p, err := options.LoadProject(context.Background())
	if err != nil {
		t.Fatalf("%v: %v", files, err)
	}
	return p
}

// ours returns the services that run the program.
var ours = []string{"api", "beat", "migrate", "relay"}

func TestServices(t *testing.T) {
	p := project(t)
	want := []string{"api", "beat", "migrate", "postgres", "redis", "relay", "worker"}
	if got := slices.Sorted(maps.Keys(p.Services)); !slices.Equal(got, want) {
		t.Fatalf("services %v, want %v", got, want)
	}
	for name, s := range p.Services {
		if s.Build == nil {
			if _, tag, tagged := strings.Cut(s.Image, ":"); !tagged || tag == "latest" {
				t.Errorf("%s: the image %q has no version", name, s.Image)
			}
			continue
		}
		if _, err := os.Stat(filepath.Join(s.Build.Context, s.Build.Dockerfile)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestEachSettingIsUnderstood checks that the program reads every setting of compose.yaml and compose.tls.yaml.
func TestEachSettingIsUnderstood(t *testing.T) {
	for _, p := range projects(t) {
		understands(t, p)
	}
}

func understands(t *testing.T, p *types.Project) {
	t.Helper()
	for _, name := range ours {
		s := p.Services[name]
		if len(s.Command) != 1 || s.Command[0] != name {
			t.Errorf("%s runs %v", name, s.Command)
			continue
		}
		known := understood(t, name)
		for setting := range s.Environment {
			if !known[strings.TrimSuffix(setting, "_FILE")] {
				t.Errorf("%s: tactus %s does not read %s", name, name, setting)
			}
		}
		if name != "migrate" && value(s, "TACTUS_AUTH") != "keys" {
			t.Errorf("%s listens on all addresses, and lets in whoever has no key", name)
		}
	}
}

// TestSettingsAreThoseOfTheExample checks that the variables of compose.yaml are in .env.example.
func TestSettingsAreThoseOfTheExample(t *testing.T) {
	var compose []byte
	for _, file := range []string{"../compose.yaml", "../compose.tls.yaml"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		compose = append(compose, text...)
	}
	example, err := os.ReadFile("../../.env.example")
	if err != nil {
		t.Fatal(err)
	}
	for _, found := range regexp.MustCompile(`\$\{([A-Z_]+)`).FindAllStringSubmatch(string(compose), -1) {
		if name := found[1]; !strings.Contains(string(example), "\n# "+name+"=") {
			t.Errorf("compose.yaml uses %s, which is not in .env.example", name)
		}
	}
}

func value(s types.ServiceConfig, name string) string {
	if v := s.Environment[name]; v != nil {
		return *v
	}
	return ""
}

// TestSettingsReachTheServices sets each variable of compose.yaml, and checks that the services get it.
func TestSettingsReachTheServices(t *testing.T) {
	p := project(t, "CELERY_BROKER_URL=redis://elsewhere:6379/3", "CELERY_TIMEZONE=Asia/Tokyo")
	for service, want := range map[string]map[string]string{
		"migrate": {"DATABASE_URL_FILE": "/run/secrets/database_url"},
		"api":     {"CELERY_TIMEZONE": "Asia/Tokyo"},
		"relay":   {"CELERY_BROKER_URL": "redis://elsewhere:6379/3", "REDIS_URL": "redis://redis:6379/0"},
		"beat":    {"CELERY_BROKER_URL": "redis://elsewhere:6379/3", "REDIS_URL": "redis://redis:6379/0"},
		"worker":  {"CELERY_BROKER_URL": "redis://elsewhere:6379/3", "CELERY_RESULT_BACKEND": "redis://elsewhere:6379/3"},
	} {
		for name, text := range want {
			if got := value(p.Services[service], name); got != text {
				t.Errorf("%s: %s is %q, want %q", service, name, got, text)
			}
		}
	}
}

// TestNobodyIsASuperuser checks that the program does not connect as the superuser, and that its role is created.
func TestNobodyIsASuperuser(t *testing.T) {
	p := project(t)
	at, err := url.Parse(secrets(t)["database_url"])
	if err != nil || at.User.Username() != "tactus_owner" || at.User.Username() == value(p.Services["postgres"], "POSTGRES_USER") {
		t.Errorf("the program connects as %v, %v", at, err)
	}
	for _, name := range ours {
		if got := value(p.Services[name], "DATABASE_URL_FILE"); got != "/run/secrets/database_url" {
			t.Errorf("%s connects by %q", name, got)
		}
	}
	for _, v := range p.Services["postgres"].Volumes {
		if !strings.HasPrefix(v.Target, "/docker-entrypoint-initdb.d/") {
			continue
		}
		script, err := os.ReadFile(v.Source)
		if err != nil || !strings.Contains(string(script), "create role tactus_owner login password") {
			t.Errorf("%s does not create the role: %v", v.Source, err)
		}
		return
	}
	t.Error("nothing creates the role")
}

func TestOrderOfStart(t *testing.T) {
	p := project(t)
	for service, want := range map[string]map[string]string{
		"migrate": {"postgres": types.ServiceConditionHealthy},
		"api":     {"migrate": types.ServiceConditionCompletedSuccessfully},
		"relay":   {"migrate": types.ServiceConditionCompletedSuccessfully, "redis": types.ServiceConditionHealthy},
		"beat":    {"migrate": types.ServiceConditionCompletedSuccessfully, "redis": types.ServiceConditionHealthy},
		"worker":  {"redis": types.ServiceConditionHealthy},
	} {
		got := map[string]string{}
		for on, how := range p.Services[service].DependsOn {
			got[on] = how.Condition
		}
		if !maps.Equal(got, want) {
			t.Errorf("%s waits for %v, want %v", service, got, want)
		}
	}
	if restart := p.Services["migrate"].Restart; restart != "no" {
		t.Errorf("migrate runs once, but restart is %q", restart)
	}
}

// TestHealthChecks checks that each service has a health check that its image can run, and that ours use the right
// port.
func TestHealthChecks(t *testing.T) {
	for name, s := range project(t).Services {
		if name == "migrate" {
			if s.HealthCheck == nil || !s.HealthCheck.Disable {
				t.Errorf("migrate listens nowhere, and the image's health check asks it: %+v", s.HealthCheck)
			}
			continue
		}
		if s.HealthCheck == nil || len(s.HealthCheck.Test) < 2 || s.HealthCheck.Interval == nil || s.HealthCheck.Timeout == nil {
			t.Errorf("%s: health check %+v", name, s.HealthCheck)
			continue
		}
		if !slices.Contains(ours, name) {
			continue
		}
		_, port, _ := strings.Cut(value(s, "TACTUS_HTTP_ADDR"), ":")
		want := []string{"CMD", "/tactus", "health", "http://127.0.0.1:" + port}
		if !slices.Equal(s.HealthCheck.Test, want) {
			t.Errorf("%s: %v, want %v", name, s.HealthCheck.Test, want)
		}
		if len(s.Ports) != 1 || s.Ports[0].Published != port || fmt.Sprint(s.Ports[0].Target) != port {
			t.Errorf("%s: ports %+v", name, s.Ports)
		}
	}
	tactus(t, "health", "--help") // the subcommand exists
}

func TestOnlyThisMachineReachesThePorts(t *testing.T) {
	for name, s := range projects(t)["tls"].Services {
		for _, port := range s.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s publishes %s on %q", name, port.Published, port.HostIP)
			}
		}
	}
}

// TestContainersHaveNoPowers checks that an intruder in a container could do little.
func TestContainersHaveNoPowers(t *testing.T) {
	for name, s := range projects(t)["tls"].Services {
		if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") || s.Privileged || len(s.CapAdd) > 0 {
			t.Errorf("%s: read_only %v, cap_drop %v, security_opt %v", name, s.ReadOnly, s.CapDrop, s.SecurityOpt)
		}
		if s.NetworkMode != "" || s.Pid != "" || s.Ipc != "" || len(s.Devices) > 0 {
			t.Errorf("%s shares a namespace or device of the host", name)
		}
		user := s.User
		if s.Build != nil {
			for _, step := range read(t, filepath.Join(s.Build.Context, s.Build.Dockerfile)) {
				if step.name == "USER" {
					user = step.rest
				}
			}
		}
		if user == "" || user == "root" || strings.HasPrefix(user, "0") {
			t.Errorf("%s runs as %q", name, user)
		}
		for _, v := range s.Volumes {
			if v.Type == types.VolumeTypeBind && !v.ReadOnly {
				t.Errorf("%s writes to %s on the host", name, v.Source)
			}
		}
	}
}

// secrets runs secrets.sh in a copy of the folder, and returns the secrets by name.
func secrets(t *testing.T, args ...string) map[string]string {
	t.Helper()
	dir := t.TempDir()
	script, err := os.ReadFile("../secrets.sh")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "secrets.sh")
	if err := os.WriteFile(path, script, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "secrets"), 0o755); err != nil { // by whoever copied the folder
		t.Fatal(err)
	}
	made := map[string]string{}
	for range 2 { // the second run must keep the secrets
		if out, err := exec.Command("sh", append([]string{path}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("secrets.sh: %v: %s", err, out)
		}
		files, err := os.ReadDir(filepath.Join(dir, "secrets"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(filepath.Join(dir, "secrets", file.Name()))
			if err != nil || made[file.Name()] != "" && made[file.Name()] != string(text) {
				t.Errorf("%s was %q and is %q, %v", file.Name(), made[file.Name()], text, err)
			}
			made[file.Name()] = string(text)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "secrets")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder: %v, %v", info.Mode(), err)
	}
	return made
}

// TestSecretsAreWholeOrNone runs secrets.sh where it finds no random bytes, where somebody has prepared a link, and
// where one of two secrets that belong together was removed.
func TestSecretsAreWholeOrNone(t *testing.T) {
	dir := t.TempDir()
	script, err := os.ReadFile("../secrets.sh")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "secrets.sh")
	if err := os.WriteFile(path, script, 0o755); err != nil {
		t.Fatal(err)
	}
	run := func(programs string) (string, error) {
		command := exec.Command("/bin/sh", path)
		command.Env = []string{"PATH=" + programs}
		out, err := command.CombinedOutput()
		return string(out), err
	}
	few := filepath.Join(dir, "programs")
	if err := os.Mkdir(few, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{"dirname", "mkdir", "chmod", "tr", "cat", "mv", "rm", "grep"} {
		found, err := exec.LookPath(program)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(found, filepath.Join(few, program)); err != nil {
			t.Fatal(err)
		}
	}
	out, err := run(few)
	files, errFiles := os.ReadDir(filepath.Join(dir, "secrets"))
	if err == nil || !strings.Contains(out, "no random bytes") || errFiles != nil || len(files) != 0 {
		t.Errorf("without random bytes: %v, %v, %d files: %s", err, errFiles, len(files), out)
	}
	elsewhere := filepath.Join(dir, "elsewhere")
	if err := os.Symlink(elsewhere, filepath.Join(dir, "secrets", "postgres_password.new")); err != nil {
		t.Fatal(err)
	}
	if out, err := run(os.Getenv("PATH")); err != nil {
		t.Fatal(err, out)
	}
	if _, err := os.Stat(elsewhere); err == nil {
		t.Error("a secret was written to where a link leads")
	}
	if err := os.Remove(filepath.Join(dir, "secrets", "owner_password")); err != nil {
		t.Fatal(err)
	}
	if out, err := run(os.Getenv("PATH")); err == nil || !strings.Contains(out, "secrets/database_url has another password") {
		t.Errorf("without the owner's password: %v: %s", err, out)
	}
	empty := filepath.Join(dir, "secrets", "postgres_password")
	if err := os.Remove(empty); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(empty, nil, 0o444); err != nil {
		t.Fatal(err)
	}
	if out, err := run(os.Getenv("PATH")); err == nil || !strings.Contains(out, "secrets/postgres_password is empty") {
		t.Errorf("with an empty password: %v: %s", err, out)
	}
}

// TestSecretsAreFiles checks that each secret is created, random, in no environment, and outside of the image and of
// git.
func TestSecretsAreFiles(t *testing.T) {
	haveFiles(t, project(t), secrets(t))
}

func haveFiles(t *testing.T, p *types.Project, made map[string]string) {
	t.Helper()
	for name, s := range p.Secrets {
		if filepath.Base(s.File) != name || len(made[name]) < 32 || !strings.HasSuffix(filepath.Dir(s.File), "deployments/secrets") {
			t.Errorf("%s: %s, made as %q", name, s.File, made[name])
		}
	}
	if made["postgres_password"] == made["owner_password"] || !strings.Contains(made["database_url"], made["owner_password"]) {
		t.Errorf("%v", made)
	}
	for name, s := range p.Services {
		for setting, text := range s.Environment {
			if strings.Contains(setting, "PASSWORD") && !strings.HasSuffix(setting, "_FILE") || text != nil && regexp.MustCompile(`://[^/]*:[^/]*@`).MatchString(*text) {
				t.Errorf("%s has a password in its environment: %s", name, setting)
			}
			if text == nil || !strings.HasPrefix(*text, "/run/secrets/") {
				continue
			}
			if !slices.ContainsFunc(s.Secrets, func(c types.ServiceSecretConfig) bool { return c.Source == filepath.Base(*text) }) {
				t.Errorf("%s is not given %s", name, *text)
			}
		}
	}
	for file, line := range map[string]string{"../Dockerfile.dockerignore": "deployments", "../../.gitignore": "/deployments/secrets/"} {
		text, err := os.ReadFile(file)
		if err != nil || !slices.Contains(strings.Split(string(text), "\n"), line) {
			t.Errorf("%s does not exclude secrets: %v", file, err)
		}
	}
}

// TestDataOutlivesContainers checks that lasting data are in volumes, and that Redis evicts nothing.
func TestDataOutlivesContainers(t *testing.T) {
	p := project(t)
	for service, target := range map[string]string{"postgres": "/var/lib/postgresql/data", "redis": "/data"} {
		volumes := slices.DeleteFunc(slices.Clone(p.Services[service].Volumes), func(v types.ServiceVolumeConfig) bool { return v.ReadOnly })
		if len(volumes) != 1 || volumes[0].Type != types.VolumeTypeVolume || volumes[0].Target != target || volumes[0].Source == "" {
			t.Errorf("%s: volumes %+v", service, volumes)
		}
	}
	want := []string{"redis-server", "--appendonly", "yes", "--maxmemory-policy", "noeviction"}
	if got := p.Services["redis"].Command; !slices.Equal(got, want) {
		t.Errorf("redis runs %v, want %v", got, want)
	}
}
