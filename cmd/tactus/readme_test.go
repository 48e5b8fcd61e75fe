package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/internal/servers"
	"github.com/tactus-dev/tactus/internal/testenv"
)

const repository = "../.."

// TestReadmeExample runs the commands of the README, in one shell, from the repository's folder.
func TestReadmeExample(t *testing.T) {
	t.Parallel()
	home := filepath.Dir(stateDir(t))
	state := filepath.Join(home, ".local", "state", "tactus")
	dev(t, state)
	script := "set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null; wait' EXIT\n" +
		strings.Join(blocks(t, "README.md", "sh"), "\n")
	ctx, cancel := context.WithTimeout(t.Context(), 2*testenv.Patience)
	defer cancel()
	shell := exec.CommandContext(ctx, "bash", "-c", script)
	shell.Dir = checkout(t)
	shell.Env = append(os.Environ(), "HOME="+home, "PATH="+celeryOnPath(t)+":"+os.Getenv("PATH"), "LC_ALL=C.UTF-8",
		"TACTUS_STATE_DIR="+state) // the default depends on the user who runs the test
	out, err := shell.CombinedOutput()
	if err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	for _, want := range []string{
		`"name":"hello"`, "09:30:00+09:00", "succeeded", "schedule.updated",
		"2026-03-08T03:00:00-04:00",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("it does not show %s:\n%s", want, out)
		}
	}
}

// blocks are the fenced blocks of a language in a document.
func blocks(t *testing.T, document, language string) (all []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, document))
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		all = append(all, block[1])
	}
	if len(all) == 0 {
		t.Fatalf("%s has no %s block", document, language)
	}
	return all
}

// checkout is a folder that looks like the repository after "make build".
func checkout(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	root, err := filepath.Abs(repository)
	if err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{
		"bin/tactus": testenv.Binary(t, ""),
		"examples":   filepath.Join(root, "examples"),
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, link)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// celeryOnPath is a folder with a celery command, as a user has it.
func celeryOnPath(t *testing.T) string {
	t.Helper()
	python, err := servers.CeleryPython(t.Context(), servers.Config{Log: func(s string) { t.Log(s) }})
	if err != nil {
		t.Fatal(err)
	}
	cmd := python.Command(t.Context(), "-m", "celery")
	var modules string
	for _, v := range cmd.Env {
		if path, ok := strings.CutPrefix(v, "PYTHONPATH="); ok {
			modules = path
		}
	}
	dir := t.TempDir()
	text := fmt.Sprintf("#!/bin/sh\nexport PYTHONPATH='%s' PYTHONDONTWRITEBYTECODE=1\nexec '%s' -m celery \"$@\"\n",
		modules, cmd.Path)
	if err := os.WriteFile(filepath.Join(dir, "celery"), []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestReadmeNamesWhatIsThere checks that the targets of links and of make exist.
func TestReadmeNamesWhatIsThere(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(repository, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range regexp.MustCompile(`\]\(([^)#]+)\)`).FindAllStringSubmatch(string(text), -1) {
		if _, err := os.Stat(filepath.Join(repository, link[1])); err != nil {
			t.Errorf("%s: %v", link[0], err)
		}
	}
	makefile, err := os.ReadFile(filepath.Join(repository, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range regexp.MustCompile(`make ([a-z]+)`).FindAllStringSubmatch(string(text), -1) {
		if !regexp.MustCompile(`(?m)^` + target[1] + `:`).Match(makefile) {
			t.Errorf("there is no %s", target[0])
		}
	}
}

// TestReadmeGoIsTested checks that the Go code of the README is code that a test runs.
func TestReadmeGoIsTested(t *testing.T) {
	t.Parallel()
	files, code := []string{"outbox/order_test.go", "clients/go/example_test.go"}, ""
	for _, file := range files {
		text, err := os.ReadFile(filepath.Join(repository, file))
		if err != nil {
			t.Fatal(err)
		}
		code += unindented(string(text))
	}
	for _, block := range blocks(t, "README.md", "go") {
		if !strings.Contains(code, unindented(block)) {
			t.Errorf("this is in none of %v:\n%s", files, block)
		}
	}
}

func unindented(text string) string { return regexp.MustCompile(`(?m)^\s+`).ReplaceAllString(text, "") }

// TestRecoveryCommands runs the commands of docs/recovery.md, one by one, on a complete installation.
func TestRecoveryCommands(t *testing.T) {
	t.Parallel()
	state := stateDir(t)
	p := dev(t, state)
	env := readEnv(t, filepath.Join(state, "dev.env"))
	if status, body := curl(t, p.AwaitLog(`(?s)tactus is running.*Ctrl-C`)[0]); status != http.StatusCreated {
		t.Fatalf("create a schedule: %d %s", status, body)
	}
	for _, block := range blocks(t, filepath.Join("docs", "recovery.md"), "sh") {
		shell := exec.CommandContext(t.Context(), "bash", "-euc", `tactus() { "$TACTUS" "$@"; }`+"\n"+block)
		shell.Env = append(os.Environ(), "TACTUS="+testenv.Binary(t, ""))
		for name, value := range env {
			shell.Env = append(shell.Env, name+"="+value)
		}
		if out, err := shell.CombinedOutput(); err != nil {
			t.Errorf("%v:\n%s%s", err, block, out)
		}
	}
}
