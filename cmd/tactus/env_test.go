package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the files that the tests compare with")

const envExample = "../../.env.example"

// setting is an environment variable with the commands that read it.
type setting struct {
	name, value, help string
	commands          []string
}

// TestEnvExampleIsComplete compares .env.example with the flags of all commands; -update writes the file.
func TestEnvExampleIsComplete(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("# The environment of tactus' processes. Each is a flag too: tactus COMMAND --help.\n# Written " +
		"by: go test ./cmd/tactus -run EnvExample -update\n")
	for _, s := range settings(t) {
		fmt.Fprintf(&b, "\n# %s\n# (%s)\n# %s=%s\n", s.help, strings.Join(s.commands, ", "), s.name, s.value)
	}
	if *update {
		if err := os.WriteFile(envExample, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(envExample)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b.String(), string(have)); diff != "" {
		t.Errorf(".env.example is not what the commands say (-update writes it):\n%s", diff)
	}
}

// TestFlagsAreNamedAsTheirVariables checks that each flag has the name of its variable, without TACTUS_.
func TestFlagsAreNamedAsTheirVariables(t *testing.T) {
	t.Parallel()
	eachFlag(t, func(command string, f *kong.Flag) {
		for _, env := range f.Envs {
			if want := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(env, "TACTUS_")), "_",
				"-"); f.Name != want {
				t.Errorf("%s: the flag of %s is --%s, want --%s", command, env, f.Name, want)
			}
		}
	})
}

func settings(t *testing.T) (all []*setting) {
	t.Helper()
	eachFlag(t, func(command string, f *kong.Flag) {
		for _, env := range f.Envs {
			i := slices.IndexFunc(all, func(s *setting) bool { return s.name == env })
			if i < 0 {
				i = len(all)
				all = append(all, &setting{name: env, value: f.Default, help: f.Help})
			}
			if all[i].value != f.Default {
				t.Errorf("%s has two defaults: %q and, for %s, %q", env, all[i].value, command, f.Default)
			}
			if !slices.Contains(all[i].commands, command) {
				all[i].commands = append(all[i].commands, command)
			}
		}
	})
	return all
}

func eachFlag(t *testing.T, do func(command string, f *kong.Flag)) {
	t.Helper()
	parser, err := newParser(&commands{}, console{out: t.Output(), problems: t.Output()}, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range parser.Model.Flags {
		do("every command", f)
	}
	for _, command := range parser.Model.Children {
		eachFlagOf(command, func(f *kong.Flag) { do(command.Name, f) })
	}
}
