package main

import (
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// callsAPI has a call of each command that speaks to the API, about nothing that is there: how it exits then.
var callsAPI = map[string]struct {
	args string
	code int
}{
	"apply": {"-f nowhere", exitUsage}, "export files": {"", exitOK},
	"schedule create": {"--name new --every 60 --task t", exitOK}, "schedule list": {"", exitOK},
	"schedule get": {"nobody", exitNotFound}, "schedule update": {"nobody --description d", exitNotFound},
	"schedule delete": {"nobody", exitNotFound}, "schedule enable": {"nobody", exitNotFound}, "schedule disable": {"nobody", exitNotFound},
	"schedule preview": {"--every 60 --exclude-calendar nobody", exitFailure},
	"schedule skip":    {"nobody", exitNotFound}, "schedule trigger": {"nobody", exitNotFound}, "schedule next": {"nobody", exitNotFound},
	"schedule history": {"nobody", exitNotFound}, "schedule events": {"nobody", exitNotFound}, "schedule revert": {"nobody 1", exitNotFound},
	"schedule backfill": {"nobody --from 2026-01-01 --to 2026-01-02", exitNotFound}, "schedule bulk": {"enable nobody", exitNotFound},
	"runs list": {"--schedule nobody", exitNotFound}, "runs tail": {"--schedule nobody", exitNotFound},
	"runs get": {unknownID, exitNotFound}, "runs rerun": {unknownID, exitNotFound}, "runs cancel": {unknownID, exitNotFound},
	"events list": {"--schedule nobody", exitNotFound}, "events tail": {"--schedule nobody", exitNotFound},
	"backfill list": {"nobody", exitNotFound}, "backfill get": {unknownID, exitNotFound}, "backfill cancel": {unknownID, exitNotFound},
	"route list": {"", exitOK}, "route set": {"app.t --queue q", exitOK}, "route delete": {"nobody", exitNotFound},
	"notify list": {"", exitOK}, "notify get": {"nobody", exitNotFound}, "notify rotate": {"nobody", exitNotFound},
	"notify test": {"nobody", exitNotFound}, "notify delete": {"nobody", exitNotFound}, "notify put": {"n --on failed --to stream", exitOK},
	"calendar list": {"", exitOK}, "calendar get": {"nobody", exitNotFound}, "calendar delete": {"nobody", exitNotFound},
	"calendar put": {"c 2127-01-01", exitOK}, "calendar import": {"nowhere.ics", exitFailure},
	"key list": {"", exitOK}, "key create": {"k --role read", exitOK}, "key revoke": {"nobody", exitNotFound}, "key rotate": {"nobody", exitNotFound},
}

const unknownID = "01890000-0000-7000-8000-000000000000"

// leaves are all commands that can be called, by their paths.
func leaves(t *testing.T) (all map[string]*kong.Node) {
	t.Helper()
	parser, err := newParser(&commands{}, console{out: io.Discard, problems: io.Discard}, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	all = map[string]*kong.Node{}
	var walk func(*kong.Node)
	walk = func(at *kong.Node) {
		inner := 0
		for _, child := range at.Children {
			if child.Type == kong.CommandNode {
				walk(child)
				inner++
			}
		}
		if inner == 0 {
			path, _, _ := strings.Cut(strings.TrimPrefix(at.Path(), "tactus "), " (") // other names of it
			all[path] = at
		}
	}
	walk(parser.Model.Node)
	return all
}

// TestExitCodes calls every command: with a flag that there is not, and those of the API about nothing that is there,
// and while no server answers.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	a := newAsCode(t)
	for path, command := range leaves(t) {
		words := strings.Fields(path)
		if path != "completion words" { // it completes anything
			if got := tactus(t, append(words, "--no-such-flag")...); got.code != exitUsage || got.out != "" {
				t.Errorf("%s with an unknown flag: %d %s", path, got.code, got.problems)
			}
		}
		remote := slices.ContainsFunc(command.Flags, func(f *kong.Flag) bool { return f.Name == "context" })
		call, known := callsAPI[path]
		if remote != known {
			t.Errorf("%s: the table of calls has it: %t, it speaks to the API: %t", path, known, remote)
			continue
		}
		if !remote {
			continue
		}
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			words := append(words, strings.Fields(call.args)...)
			if got := tactus(t, append(slices.Clone(words), "--url", a.url)...); got.code != call.code {
				t.Errorf("%s: %d, want %d\n%s%s", path, got.code, call.code, got.out, got.problems)
			}
			away := exitFailure
			if call.code == exitUsage {
				away = exitUsage
			}
			if got := tactus(t, append(words, "--url", "http://127.0.0.1:1")...); got.code != away || got.problems == "" {
				t.Errorf("%s of no server: %d, want %d\n%s%s", path, got.code, away, got.out, got.problems)
			}
		})
	}
}
