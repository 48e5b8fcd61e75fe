package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/internal/servers"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// shop is a Celery application with schedules beside its tasks.
const shop = `
from celery import Celery
from tactus.celery import schedule

app = Celery("shop")
print("shop is imported")

@schedule("30 9 * * mon-fri", tz="Asia/Tokyo", tags=["money"])
@app.task
def report(): ...
`

// TestApplyCollectsFromAnApplication applies the schedules that decorators declare, and deletes those that they no
// longer declare.
func TestApplyCollectsFromAnApplication(t *testing.T) {
	t.Parallel()
	api := testenv.Program{Env: []string{"DATABASE_URL=" + testenv.DatabaseURL(t)}}.Start(t, "api", "--http-addr", "127.0.0.1:0")
	api.AwaitReady()
	dir := t.TempDir()
	python := pythonWithClient(t, dir)
	apply := func(app string, args ...string) said {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "shop.py"), []byte(app), 0o644); err != nil {
			t.Fatal(err)
		}
		return tactus(t, append([]string{
			"apply", "--url", api.URL(), "--app", "shop:app", "--python", python, "--source", "shop", "--prune",
		}, args...)...)
	}
	if got := apply(shop, "--diff"); got.code != exitFailure || !strings.Contains(got.out, "+ schedule shop.report") {
		t.Errorf("a diff: %+v", got)
	}
	if got := apply(shop); got.code != exitOK || !strings.Contains(got.problems, "1 created") ||
		!strings.Contains(got.problems, "shop is imported") {
		t.Errorf("applied: %+v", got)
	}
	got := tactus(t, "schedule", "get", "shop.report", "--url", api.URL(), "-o", "json")
	for _, part := range []string{`"30 9 * * 1-5"`, `"Asia/Tokyo"`, `"money"`, `"source:shop"`, `"task_name": "shop.report"`} {
		if !strings.Contains(got.out, part) {
			t.Errorf("without %s: %+v", part, got)
		}
	}
	if got := apply(shop); got.code != exitOK || !strings.Contains(got.problems, "1 unchanged") {
		t.Errorf("applied again: %+v", got)
	}
	other := strings.Replace(shop, "def report", "def other", 1)
	if got := apply(other); got.code != exitOK || !strings.Contains(got.problems, "1 created, 0 changed, 1 deleted") {
		t.Errorf("another task: %+v", got)
	}
	if got := apply(strings.Replace(other, "mon-fri", "mon-fry", 1)); got.code != exitUsage ||
		!strings.Contains(got.problems, "--app shop:app") || !strings.Contains(got.problems, "nothing was changed") {
		t.Errorf("a fault in a decorator: %+v", got)
	}
	if got := apply("import none_such"); got.code != exitUsage || !strings.Contains(got.problems, "none_such") {
		t.Errorf("an application that cannot be imported: %+v", got)
	}
	if got := tactus(t, "apply", "--url", api.URL(), "--app", "shop:app", "--python", "/none/python"); got.code != exitUsage ||
		!strings.Contains(got.problems, "--python") {
		t.Errorf("no Python: %+v", got)
	}
	if got := tactus(t, "apply", "--url", api.URL()); got.code != exitUsage || !strings.Contains(got.problems, "--app") {
		t.Errorf("nothing to apply: %+v", got)
	}
}

// pythonWithClient returns a program that runs Python with Celery, the package tactus, and what is in a folder.
func pythonWithClient(t *testing.T, dir string) string {
	t.Helper()
	python, err := servers.CeleryPython(t.Context(), servers.Config{Log: func(text string) { t.Log(text) }})
	if err != nil {
		t.Fatal(err)
	}
	client, err := filepath.Abs(filepath.Join(repository, "clients", "python"))
	if err != nil {
		t.Fatal(err)
	}
	cmd, modules := python.Command(t.Context()), dir+":"+client
	for _, variable := range cmd.Env {
		if path, found := strings.CutPrefix(variable, "PYTHONPATH="); found {
			modules += ":" + path
		}
	}
	program := filepath.Join(dir, "python")
	text := fmt.Sprintf("#!/bin/sh\nexport PYTHONPATH='%s' PYTHONDONTWRITEBYTECODE=1\nexec '%s' \"$@\"\n", modules, cmd.Path)
	if err := os.WriteFile(program, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return program
}
