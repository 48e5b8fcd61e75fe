package testenv

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/tactus-dev/tactus/internal/servers"
)

// BesideCelery runs a Python script where a Celery application is, app.py, and returns what the script prints.
func BesideCelery(t testing.TB, app, script string, args []string, environment ...string) []byte {
	t.Helper()
	python, err := servers.CeleryPython(t.Context(), servers.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return beside(t, python, app, script, args, environment...)
}

// BesideDjango does the same where a real django-celery-beat is installed.
func BesideDjango(t testing.TB, app, script string, args []string) []byte {
	t.Helper()
	return beside(t, djangoPython(t), app, script, args)
}

func beside(t testing.TB, python servers.Python, app, script string, args []string, environment ...string) []byte {
	t.Helper()
	dir, err := Dir()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { // Python may be another user
		t.Fatal(err)
	}
	for name, text := range map[string]string{"app.py": app, "script.py": script} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var problems bytes.Buffer
	cmd := python.Command(t.Context(), append([]string{filepath.Join(dir, "script.py")}, args...)...)
	cmd.Dir, cmd.Stderr, cmd.Env = dir, &problems, append(cmd.Env, environment...)
	printed, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, problems.String())
	}
	return printed
}
