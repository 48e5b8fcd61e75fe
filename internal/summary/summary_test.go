package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// module is written to a folder and tested by the go command: packages that pass, fail, panic and do not build.
var module = map[string]string{
	"go.mod":         "module m\n\ngo 1.26.0\n",
	"good/a_test.go": "package good\n\nimport (\n\t\"fmt\"\n\t\"testing\"\n)\n\nfunc TestGood(t *testing.T) { fmt.Println(\"chatter\"); t.Log(\"more chatter\") }\n",
	"bad/a_test.go": "package bad\n\nimport \"testing\"\n\nfunc TestPasses(t *testing.T) { t.Log(\"chatter\") }\n\n" +
		"func TestBad(t *testing.T) { t.Run(\"case\", func(t *testing.T) { t.Error(\"the reason\") }) }\n",
	"panics/a_test.go": "package panics\n\nimport \"testing\"\n\nfunc TestPanics(t *testing.T) { panic(\"the panic\") }\n",
	"broken/a_test.go": "package broken\n\nfunc f() { undefined() }\n",
	"none/a.go":        "package none\n",
}

// tested runs the tests of packages of the module and returns what the summary says, without times.
func tested(t *testing.T, packages ...string) (said string, failed bool) {
	t.Helper()
	dir := t.TempDir()
	for file, text := range module {
		path := filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"test", "-json"}, packages...)...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	out, _ := cmd.Output() // a failing test is no fault of the go command
	var heard bytes.Buffer
	failed, err := summarise(bytes.NewReader(out), &heard)
	if err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile(` +[0-9.]+s`).ReplaceAllString(heard.String(), ""), failed
}

func TestPassing(t *testing.T) {
	t.Parallel()
	said, failed := tested(t, "./good", "./none")
	if want := "ok  m/good\n1 tests in 1 packages; slowest m/good\n"; said != want || failed {
		t.Errorf("failed %v:\n%s", failed, cmp.Diff(want, said))
	}
}

// TestFailing holds that the output of what failed is there, and nothing else's, and that the names come last.
func TestFailing(t *testing.T) {
	t.Parallel()
	said, failed := tested(t, "./...")
	if !failed {
		t.Error("it does not fail")
	}
	for _, want := range []string{"the reason", "the panic", "undefined: undefined"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not in:\n%s", want, said)
		}
	}
	if strings.Contains(said, "chatter") {
		t.Errorf("a test that passed is heard:\n%s", said)
	}
	_, last, _ := strings.Cut(said, "\nFailed:\n")
	for _, want := range []string{"  m/bad TestBad/case\n", "  m/bad TestBad\n", "  m/panics TestPanics\n", "  m/broken\n"} {
		if !strings.Contains(last, want) {
			t.Errorf("%q is not among the last lines:\n%s", want, last)
		}
	}
	if n := strings.Count(last, "\n"); n != 4 {
		t.Errorf("%d lines come last:\n%s", n, last)
	}
}

// TestWhatIsNoEvent passes on what the go command says outside of events.
func TestWhatIsNoEvent(t *testing.T) {
	t.Parallel()
	var said bytes.Buffer
	failed, err := summarise(strings.NewReader("go: no such module\n{}\n{\"Action\":\"output\",\"Package\":\"p\",\"Output\":\"testenv: fetching PostgreSQL\\n\"}\n"), &said)
	if want := "go: no such module\n{}\ntestenv: fetching PostgreSQL\n0 tests in 0 packages\n"; err != nil || failed || said.String() != want {
		t.Errorf("%v, %v:\n%s", failed, err, cmp.Diff(want, said.String()))
	}
}
