package python_test

import (
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tactus-dev/tactus/internal/access"
	"github.com/tactus-dev/tactus/internal/api"
	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/servers"
	"github.com/tactus-dev/tactus/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// TestPython runs the tests that are written in Python, each against an API and a database of its own.
func TestPython(t *testing.T) {
	t.Parallel()
	for name, needs := range map[string]struct{ modules, packages []string }{
		"client":     {[]string{"celery", "redis"}, []string{"python3-celery", "python3-redis"}},
		"celery":     {[]string{"celery", "redis"}, []string{"python3-celery", "python3-redis"}},
		"sqlalchemy": {[]string{"sqlalchemy", "psycopg2"}, []string{"python3-sqlalchemy", "python3-psycopg2"}},
		"django": {
			[]string{"django_celery_beat", "psycopg2", "redis"},
			[]string{"python3-django-celery-beat", "python3-psycopg2", "python3-redis"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := slog.New(slog.NewTextHandler(t.Output(), nil))
			url := testenv.DirectURL(t)
			pool := testenv.Connect(t, url)
			guard := access.New(pool, access.Config{}, log, prometheus.NewRegistry())
			server := httptest.NewServer(guard.Middleware(api.New(pool, "UTC", log, celery.Config{})))
			t.Cleanup(server.Close)
			python := find(t, needs.modules, needs.packages...)
			dir := copied(t)
			cmd := python.Command(t.Context(), "-B", "-W", "ignore", "-m", "unittest", "-v", "tests.test_"+name)
			cmd.Dir, cmd.Env = dir, append(cmd.Env, "TACTUS_URL="+server.URL, "DATABASE_URL="+url)
			if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "\nOK") {
				t.Errorf("%v:\n%s", err, out)
			}
		})
	}
}

// TestTypes has mypy look at the package as whoever uses it would, without exceptions.
func TestTypes(t *testing.T) {
	t.Parallel()
	python := find(t, []string{"mypy"}, "mypy")
	cmd := python.Command(t.Context(), "-B", "-m", "mypy", "--strict", "--cache-dir="+os.DevNull, "--enable-incomplete-feature=Unpack",
		"--ignore-missing-imports",
		"tactus/__init__.py", "tactus/types.py", "tactus/sql.py", "tactus/celery.py", "tests/typed.py")
	cmd.Dir = copied(t)
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "no issues found") {
		t.Errorf("%v:\n%s", err, out)
	}
}

// TestWheel builds the wheel and imports what is in it: every module, template and migration.
func TestWheel(t *testing.T) {
	t.Parallel()
	python := find(t, []string{"setuptools", "wheel"}, "python3-setuptools", "python3-wheel")
	dir := copied(t)
	if err := os.Chmod(dir, 0o777); err != nil { // Python may be another user
		t.Fatal(err)
	}
	cmd := python.Command(t.Context(), "-B", "-c", `
import sys, zipfile
from setuptools import build_meta
name = build_meta.build_wheel(".")
print(*zipfile.ZipFile(name).namelist(), sep="\n", file=sys.stderr)`)
	cmd.Dir = dir
	var told strings.Builder
	cmd.Stderr = &told
	if out, err := cmd.Output(); err != nil {
		t.Fatalf("%v: %s%s", err, out, told.String())
	}
	packed := told.String()
	files, err := filepath.Glob("tactus/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{"tactus/django/*", "tactus/django/*/*", "tactus/django/templates/admin/tactus/*"} {
		more, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, more...)
	}
	for _, file := range files {
		if info, err := os.Stat(file); err != nil || info.IsDir() {
			continue
		}
		if !strings.Contains(packed, file+"\n") {
			t.Errorf("the wheel is without %s", file)
		}
	}
	if len(files) < 15 || strings.Contains(packed, "tests/") {
		t.Errorf("of %d files it has\n%s", len(files), packed)
	}
}

func find(t *testing.T, modules []string, packages ...string) servers.Python {
	t.Helper()
	python, err := servers.FindPython(t.Context(), servers.Config{Log: func(text string) { t.Log(text) }}, modules, packages...)
	if err != nil {
		t.Fatal(err)
	}
	return python
}

// copied copies the package to where the user who runs Python may read it.
func copied(t *testing.T) string {
	t.Helper()
	dir, err := testenv.Dir()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"tactus", "tests"} {
		if err := os.CopyFS(filepath.Join(dir, name), os.DirFS(name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"pyproject.toml", "README.md"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
