//go:build !generated

package generators

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/internal/api"
	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// serve returns the address of an API with a database of the test's own.
func serve(t *testing.T) string {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	server := httptest.NewServer(api.New(testenv.Database(t), "UTC", log, celery.Config{}))
	t.Cleanup(server.Close)
	return server.URL
}

// description writes a description of the API to a file, and returns its path.
func description(t *testing.T, server, name string) string {
	t.Helper()
	response, err := http.Get(server + name)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", name, response.Status, err)
	}
	path := filepath.Join(t.TempDir(), filepath.Base(name))
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func execute(t *testing.T, cmd *exec.Cmd) []byte {
	t.Helper()
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s\n%s", cmd, err, out, problems.String())
	}
	return out
}

// TestOapiCodegen generates Go clients from both versions of the description, and has one of them speak to a server:
// client_test.go is what it says.
func TestOapiCodegen(t *testing.T) {
	t.Parallel()
	server := serve(t)
	for _, name := range []string{"/openapi-3.0.json", "/openapi.json"} {
		generated := filepath.Join(t.TempDir(), "client.gen.go")
		execute(t, exec.Command("go", "tool", "oapi-codegen", "-generate", "types,client", "-package", "generators", "-o", generated, description(t, server, name)))
		place, err := filepath.Abs("client.gen.go")
		if err != nil {
			t.Fatal(err)
		}
		overlay, err := json.Marshal(map[string]map[string]string{"Replace": {place: generated}})
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "overlay.json")
		if err := os.WriteFile(file, overlay, 0o644); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("go", "test", "-count=1", "-overlay", file, "-tags", "generated", ".")
		cmd.Env = append(os.Environ(), "TACTUS_URL="+server)
		execute(t, cmd)
	}
}

// TestRedocly has redocly look at both versions of the description, with its recommended rules. It also compares the
// examples with the schemas.
func TestRedocly(t *testing.T) {
	t.Parallel()
	programs, server := node(t), serve(t)
	for _, name := range []string{"/openapi.json", "/openapi-3.0.json"} {
		cmd := exec.Command(filepath.Join(programs, "node_modules/.bin/redocly"), "lint", "--format=json", description(t, server, name))
		cmd.Env = append(os.Environ(), "REDOCLY_TELEMETRY=off", "REDOCLY_SUPPRESS_UPDATE_NOTICE=true")
		out, _ := cmd.Output() // it fails when there are errors, which are told below
		var found struct {
			Problems []struct {
				RuleID, Message string
				Location        []struct{ Pointer string }
			}
		}
		if err := json.Unmarshal(out, &found); err != nil {
			t.Fatalf("%v in %s", err, out)
		}
		for _, p := range found.Problems {
			// A schedule is also found by its name, as clients have it from the beginning, and ids are no names.
			if p.RuleID != "no-ambiguous-paths" {
				t.Errorf("%s: %s: %s at %s", name, p.RuleID, p.Message, p.Location)
			}
		}
	}
}

// TestOpenAPITypeScript compiles a program of TypeScript against the generated types, and has it speak to a server.
func TestOpenAPITypeScript(t *testing.T) {
	t.Parallel()
	programs, server := node(t), serve(t)
	dir := t.TempDir()
	program, err := os.ReadFile("typescript/client.ts")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"client.ts": string(program), "package.json": `{"type": "module"}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(programs, "node_modules"), filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "TACTUS_URL="+server)
		execute(t, cmd)
	}
	run("node_modules/.bin/openapi-typescript", description(t, server, "/openapi.json"), "-o", "api.d.ts")
	run("node_modules/.bin/tsc", "--strict", "--skipLibCheck", "--target", "es2022", "--module", "nodenext", "client.ts")
	run("node", "client.js")
}

// node installs the programs of package-lock.json once, and returns where.
func node(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("npm"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("npm is not installed")
		}
		t.Skip("npm is not installed: the description is held against Go's generator alone")
	}
	lock, err := os.ReadFile("typescript/package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	return install(t, filepath.Join(cache, "tactus", fmt.Sprintf("npm-%x", sha256.Sum256(lock))[:16]))
}
