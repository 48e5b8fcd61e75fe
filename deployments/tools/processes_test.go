package tools

import (
	"bufio"
	"context"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
)

// process is a process of the program.
type process struct {
	port string
	env  []string
	stop func() error
}

// start starts the program as a pod does, with files instead of the mounted secrets, on a free port, and waits until it
// listens. Neither PostgreSQL nor Redis answers.
func start(t *testing.T, c component) process {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	folder, env := t.TempDir(), c.env()
	env["TACTUS_HTTP_ADDR"] = ":0"
	for name, value := range env {
		setting, isFile := strings.CutSuffix(name, "_FILE")
		if !isFile {
			continue
		}
		secret := "redis://127.0.0.1:1/0"
		if setting == "DATABASE_URL" {
			secret = "postgres://tactus_owner@127.0.0.1:1/tactus"
		}
		env[name] = filepath.Join(folder, filepath.Base(value))
		if err := os.WriteFile(env[name], []byte(secret), 0o444); err != nil {
			t.Fatal(err)
		}
	}
	p := process{}
	for name, value := range env {
		p.env = append(p.env, name+"="+value)
	}
	ctx, kill := context.WithTimeout(t.Context(), 5*time.Minute)
	cmd := exec.CommandContext(ctx, path, c.container().Args...)
	cmd.Env = p.env
	log, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	p.stop = func() error {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			return err
		}
		return <-ended
	}
	t.Cleanup(kill)
	found, lines := make(chan string, 1), bufio.NewScanner(log)
	go func() {
		defer close(found)
		for lines.Scan() {
			if at := regexp.MustCompile(`"http":"[a-z]+://\[::\]:(\d+)"`).FindStringSubmatch(lines.Text()); at != nil {
				found <- at[1]
			}
		}
		ended <- cmd.Wait()
	}()
	port, ok := <-found
	if !ok {
		t.Fatalf("%v does not listen: %v", c.container().Args, <-ended)
	}
	p.port = port
	return p
}

// TestProbesAreAnswered starts each component with the environment of its pod, and asks it what Kubernetes asks: while
// no server answers it lives and is not ready, by its address and by the names of its Service. It stops when it is told
// to.
func TestProbesAreAnswered(t *testing.T) {
	pods := components(t, rendered(t, cases(t)["minimal"]))
	for _, role := range []string{"api", "relay", "beat"} {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			c, p := pods[role], start(t, pods[role])
			in := c.container()
			ask := func(probe *core.Probe, host string) int {
				request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:"+p.port+probe.HTTPGet.Path, nil)
				if err != nil {
					t.Fatal(err)
				}
				request.Host = host
				response, err := http.DefaultClient.Do(request)
				if err != nil {
					t.Fatal(err)
				}
				defer response.Body.Close()
				return response.StatusCode
			}
			address := net.JoinHostPort("10.1.2.3", p.port) // that of the pod, by which the kubelet asks
			for _, host := range []string{address, c.name + ":8000", c.name + ".beats", c.name + ".beats.svc.cluster.local"} {
				got := []int{ask(in.StartupProbe, host), ask(in.LivenessProbe, host), ask(in.ReadinessProbe, host)}
				if !slices.Equal(got, []int{http.StatusOK, http.StatusOK, http.StatusServiceUnavailable}) {
					t.Errorf("start, life and readiness as %s: %v", host, got)
				}
			}
			if got := ask(in.ReadinessProbe, "evil.example.org"); got != http.StatusMisdirectedRequest {
				t.Errorf("under a name of somebody else: %d", got)
			}
			said, err := checked(t, p.env, "TACTUS_HTTP_ADDR=:"+p.port)
			if err == nil || !strings.Contains(said, "not ready: postgres") {
				t.Errorf("the health check of the image: %s, %v", said, err)
			}
			if err := p.stop(); err != nil {
				t.Errorf("told to stop: %v", err)
			}
		})
	}
}

// checked runs the health check of the image in an environment.
func checked(t *testing.T, env []string, more ...string) (string, error) {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, healthCheck(t)[1:]...)
	cmd.Env = append(slices.Clone(env), more...)
	said, err := cmd.CombinedOutput()
	return string(said), err
}

// TestPortsAreThoseOfTheProgram checks that the chart's ports are where the program listens by itself: what asks it
// inside of the container without a setting finds it.
func TestPortsAreThoseOfTheProgram(t *testing.T) {
	pods := components(t, rendered(t, cases(t)["minimal"]))
	for role, port := range map[string]string{"api": "8000", "relay": "8001", "beat": "8002"} {
		help := strings.Join(strings.Fields(tactus(t, role, "--help")), " ")
		if got := pods[role].env()["TACTUS_HTTP_ADDR"]; got != ":"+port || !strings.Contains(help, port+" for "+role) {
			t.Errorf("%s listens at %q", role, got)
		}
	}
	if got := slices.Sorted(maps.Keys(pods)); !slices.Equal(got, []string{"api", "beat", "migrate", "relay"}) {
		t.Errorf("%v", got)
	}
}
