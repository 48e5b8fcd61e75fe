package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/internal/testenv"
)

// inContext runs a command in a process of its own, with a file of contexts, and returns its output.
func inContext(t *testing.T, file string, mode os.FileMode, environment []string, args ...string) said {
	t.Helper()
	home := t.TempDir()
	if file != "" {
		dir := filepath.Join(home, ".config", "tactus")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "contexts.yaml"), []byte(file), mode); err != nil {
			t.Fatal(err)
		}
	}
	return program(t, append([]string{"HOME=" + home, "XDG_CONFIG_HOME="}, environment...), args...)
}

// TestContexts asks two servers by name, and checks which setting takes precedence where there are several.
func TestContexts(t *testing.T) {
	t.Parallel()
	start := func(name string) string {
		t.Helper()
		url := testenv.DatabaseURL(t)
		keyOf := program(t, []string{"DATABASE_URL=" + url}, "key", "create", "k", "--role=admin", "-o", "json")
		api := testenv.Program{Env: []string{"DATABASE_URL=" + url, "TACTUS_AUTH=keys"}}.Start(t, "api", "--http-addr", "127.0.0.1:0")
		api.AwaitReady()
		_, key, _ := strings.Cut(keyOf.out, `"key": "`)
		key, _, _ = strings.Cut(key, `"`)
		made := program(t, nil, "schedule", "create", "--url", api.URL(), "--token", key, "--name", name, "--cron", "@daily", "--task", "app.a")
		if made.code != exitOK {
			t.Fatalf("%+v, %+v", keyOf, made)
		}
		return "{url: " + api.URL() + ", token: " + key + "}"
	}
	first, second := start("of-first"), start("of-second")
	file := "current: first\ncontexts:\n  first: " + first + "\n  second: " + second + "\n  broken: {url: 'http://127.0.0.1:1'}\n"
	urlOf := func(s string) string { return strings.TrimPrefix(strings.Split(s, ",")[0], "{url: ") }
	tokenOf := func(s string) string { return strings.TrimSuffix(strings.Split(s, "token: ")[1], "}") }
	list := []string{"schedule", "list", "-o", "name"}
	for _, c := range []struct {
		name        string
		environment []string
		args        []string
		code        int
		says        string
	}{
		{"the current one", nil, nil, exitOK, "of-first\n"},
		{"a named one", nil, []string{"--context", "second"}, exitOK, "of-second\n"},
		{"one that the environment names", []string{"TACTUS_CONTEXT=second"}, nil, exitOK, "of-second\n"},
		{"a flag before the environment", []string{"TACTUS_CONTEXT=broken"}, []string{"--context", "second"}, exitOK, "of-second\n"},
		{"a named one before TACTUS_URL", []string{"TACTUS_URL=http://127.0.0.1:1", "TACTUS_TOKEN=wrong"}, []string{"--context", "second"}, exitOK, "of-second\n"},
		{"TACTUS_URL before the current one", []string{"TACTUS_URL=" + urlOf(second), "TACTUS_TOKEN=" + tokenOf(second)}, nil, exitOK, "of-second\n"},
		{"no key of the current one goes elsewhere", []string{"TACTUS_URL=" + urlOf(second)}, nil, exitFailure, "401"},
		{"nor by --url", nil, []string{"--url", urlOf(second)}, exitFailure, "401"},
		{"a server twice", nil, []string{"--url", urlOf(second), "--context", "second"}, exitUsage, "leave one out"},
		{"none such", nil, []string{"--context", "third"}, exitUsage, "broken, first, second"},
	} {
		got := inContext(t, file, 0o600, c.environment, append(list, c.args...)...)
		if got.code != c.code || !strings.Contains(got.out+got.problems, c.says) {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
	for text, says := range map[string]string{
		"contexts: {a: {url: 'http://127.0.0.1:1', password: pa55}}":                          "token_file",
		"current: a\ncontexts: {a: {token: pa55}}":                                            "no url",
		"current: a\ncontexts: {a: {url: 'http://127.0.0.1:1', token: pa55, token_file: b}}":  "leave one out",
		"current: a\ncontexts: {a: {url: 'http://127.0.0.1:1', token_file: /none/pa55word}}}": "token_file",
	} {
		if got := inContext(t, text, 0o600, nil, list...); got.code != exitUsage || !strings.Contains(got.problems, says) || strings.Contains(got.problems, "pa55 ") {
			t.Errorf("%s: %+v", text, got)
		}
	}
	if got := inContext(t, file, 0o644, nil, list...); got.code != exitUsage || !strings.Contains(got.problems, "chmod 600") {
		t.Errorf("keys that everybody can read: %+v", got)
	}
	if got := inContext(t, "", 0o600, nil, append(list, "--context", "first")...); got.code != exitUsage || !strings.Contains(got.problems, "no context") {
		t.Errorf("no file: %+v", got)
	}
}
