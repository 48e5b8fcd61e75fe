package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/internal/testenv"
)

// program runs a command in a process of its own, with an environment of its own.
func program(t *testing.T, environment []string, args ...string) said {
	t.Helper()
	var out, problems bytes.Buffer
	cmd := exec.CommandContext(t.Context(), testenv.Binary(t, ""), args...)
	cmd.Env = append(environment, "PATH="+os.Getenv("PATH"))
	cmd.Stdout, cmd.Stderr = &out, &problems
	err := cmd.Run()
	if _, ended := errors.AsType[*exec.ExitError](err); err != nil && !ended {
		t.Fatal(err)
	}
	return said{cmd.ProcessState.ExitCode(), out.String(), problems.String()}
}

// TestCompletion completes commands, flags, values and the names of schedules on a real server.
func TestCompletion(t *testing.T) {
	t.Parallel()
	api := testenv.Program{Env: []string{"DATABASE_URL=" + testenv.DatabaseURL(t)}}.Start(t, "api", "--http-addr", "127.0.0.1:0")
	api.AwaitReady()
	for _, name := range []string{"daily report", "daily-sum", "nightly", "of-daily"} {
		if got := tactus(t, "schedule", "create", "--url", api.URL(), "--name", name, "--cron", "@daily", "--task", "app.a"); got.code != exitOK {
			t.Fatalf("%+v", got)
		}
	}
	at := []string{"TACTUS_URL=" + api.URL()}
	for _, c := range []struct{ words, want string }{
		{"sched", "schedule"},
		{"completion w", ""}, // hidden
		{"schedule en", "enable"},
		{"schedule list --la", "--last-status"},
		{"schedule list --sort n", "name|newest|next"},
		{"schedule list -o ", "json|name|table|wide|yaml"},
		{"schedule get da", "daily report|daily-sum"},
		{"schedule resume ni", "nightly"},
		{"schedule get --output json -o yaml da", "daily report|daily-sum"},
		{"schedule bulk disable daily-sum ni", "nightly"},
		{"schedule get none", ""},
		{"nothing ", ""},
	} {
		got := program(t, at, append([]string{"completion", "words", "--"}, strings.Split(c.words, " ")...)...)
		words := strings.Split(strings.TrimSuffix(got.out, "\n"), "\n")
		if got.code != exitOK || c.words != "nothing " && strings.Join(words, "|") != c.want {
			t.Errorf("%q becomes %q, want %q: %+v", c.words, words, c.want, got)
		}
	}
	asked := program(t, nil, "completion", "words", "--", "schedule", "get", "--url", api.URL(), "ni")
	if asked.out != "nightly\n" {
		t.Errorf("with --url on the line: %+v", asked)
	}
	if got := program(t, []string{"TACTUS_URL=http://127.0.0.1:1"}, "completion", "words", "--", "schedule", "get", "n"); got.code != exitOK || got.out != "" {
		t.Errorf("without a server: %+v", got)
	}
}

// TestCompletionScripts runs the completion script of each shell that is installed here.
func TestCompletionScripts(t *testing.T) {
	t.Parallel()
	api := testenv.Program{Env: []string{"DATABASE_URL=" + testenv.DatabaseURL(t)}}.Start(t, "api", "--http-addr", "127.0.0.1:0")
	api.AwaitReady()
	if got := tactus(t, "schedule", "create", "--url", api.URL(), "--name", "daily report", "--cron", "@daily", "--task", "app.a"); got.code != exitOK {
		t.Fatalf("%+v", got)
	}
	folder := t.TempDir()
	if err := os.Symlink(testenv.Binary(t, ""), filepath.Join(folder, "tactus")); err != nil {
		t.Fatal(err)
	}
	for shell, script := range map[string]string{
		"bash": `source <(tactus completion bash)
COMP_WORDS=(tactus schedule get 'daily\ r'); COMP_CWORD=3; _tactus; printf '%s\n' "${COMPREPLY[@]}"
COMP_WORDS=(tactus schedule he); COMP_CWORD=2; _tactus; printf '%s\n' "${#COMPREPLY[@]}"
complete -p tactus`,
		"fish": `tactus completion fish | source; complete -C 'tactus schedule get da'; complete -C 'tactus schedule get none'`,
		"zsh": `compdef() { echo "compdef $*" }; source <(tactus completion zsh)
compadd() { shift; print -l -- "${(@P)1}" }; words=(tactus schedule get 'daily\ r'); CURRENT=4; _tactus`,
	} {
		path, err := exec.LookPath(shell)
		if err != nil {
			if shell == "bash" {
				t.Error(err)
			}
			t.Logf("%s is not here: its script was not run", shell)
			continue
		}
		cmd := exec.CommandContext(t.Context(), path, "-c", script)
		cmd.Env = []string{"PATH=" + folder + ":" + os.Getenv("PATH"), "TACTUS_URL=" + api.URL(), "HOME=" + folder}
		out, err := cmd.CombinedOutput()
		lines := strings.Split(string(out), "\n")
		said := slices.ContainsFunc(lines, func(line string) bool { return strings.ReplaceAll(line, `\`, "") == "daily report" })
		if err != nil || !said {
			t.Errorf("%s: %v: %s", shell, err, out)
		}
	}
}
