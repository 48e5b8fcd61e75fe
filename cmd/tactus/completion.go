package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// completionCmd prints what a shell needs to complete commands, flags and names of schedules.
type completionCmd struct {
	Bash  bashCmd  `cmd:"" help:"For bash: source <(tactus completion bash)"`
	Zsh   zshCmd   `cmd:"" help:"For zsh, below compinit: source <(tactus completion zsh)"`
	Fish  fishCmd  `cmd:"" help:"For fish: tactus completion fish | source"`
	Words wordsCmd `cmd:"" hidden:"" help:"Print what may stand in place of the last word."`
}

type (
	bashCmd struct{}
	zshCmd  struct{}
	fishCmd struct{}
)

//go:embed completion.bash
var bashScript string

//go:embed completion.zsh
var zshScript string

//go:embed completion.fish
var fishScript string

// Run prints the script for bash.
func (bashCmd) Run(to console) error { return printScript(to, bashScript) }

// Run prints the script for zsh.
func (zshCmd) Run(to console) error { return printScript(to, zshScript) }

// Run prints the script for fish.
func (fishCmd) Run(to console) error { return printScript(to, fishScript) }

func printScript(to console, script string) error {
	_, err := io.WriteString(to.out, script)
	return err
}

// wordsCmd is what the scripts call.
type wordsCmd struct {
	Words []string `arg:"" optional:"" passthrough:"" help:"The words behind tactus; the last one is completed."`
}

// Run prints completions, one per line. On an error it prints none, because a shell would not show the error.
func (c wordsCmd) Run(ctx context.Context, to console) error {
	words := c.Words
	if len(words) > 0 && words[0] == "--" {
		words = words[1:]
	}
	if len(words) == 0 {
		words = []string{""}
	}
	parser, err := newParser(&commands{}, console{out: io.Discard, problems: io.Discard}, func(int) {})
	if err != nil {
		return err
	}
	for _, word := range completions(ctx, parser.Model.Node, words) {
		if !strings.ContainsAny(word, "\n\r") {
			say(to.out, "%s\n", word)
		}
	}
	return nil
}

// completions returns the words that the last word may be completed to.
func completions(ctx context.Context, node *kong.Node, words []string) (all []string) {
	last, before := words[len(words)-1], words[:len(words)-1]
	var waiting *kong.Flag // the flag whose value comes next
	arguments, connection := 0, []string{}
	for _, word := range before {
		switch {
		case waiting != nil:
			if isConnection(waiting) {
				connection = append(connection, "--"+waiting.Name+"="+word)
			}
			waiting = nil
		case strings.HasPrefix(word, "-"):
			name, value, whole := strings.Cut(word, "=")
			if f := flagOf(node, name); f != nil && whole && isConnection(f) {
				connection = append(connection, "--"+f.Name+"="+value)
			} else if f != nil && !whole && !f.IsBool() {
				waiting = f
			}
		default:
			if child := childOf(node, word); child != nil {
				node = child
			} else {
				arguments++
			}
		}
	}
	switch {
	case waiting != nil:
		all = ofFlag(waiting)
	case strings.HasPrefix(last, "-"):
		for _, f := range flagsOf(node) {
			if !f.Hidden {
				all = append(all, "--"+f.Name)
			}
		}
	default:
		for _, child := range node.Children {
			if !child.Hidden {
				all = append(all, child.Name)
			}
		}
		if at := positional(node, arguments); at != nil && len(all) == 0 {
			if all = slices.Collect(maps.Keys(at.EnumMap())); at.Name == "schedule" || at.Name == "schedules" {
				all = scheduleNames(ctx, connection, last)
			}
		}
	}
	all = slices.DeleteFunc(all, func(word string) bool { return word == "" || !strings.HasPrefix(word, last) })
	slices.Sort(all)
	return slices.Compact(all)
}

func childOf(node *kong.Node, word string) *kong.Node {
	for _, child := range node.Children {
		if child.Name == word || slices.Contains(child.Aliases, word) {
			return child
		}
	}
	return nil
}

// flagsOf returns the flags of a command and of its parents.
func flagsOf(node *kong.Node) (all []*kong.Flag) {
	for _, group := range node.AllFlags(false) {
		all = append(all, group...)
	}
	return all
}

func flagOf(node *kong.Node, word string) *kong.Flag {
	for _, f := range flagsOf(node) {
		if word == "--"+f.Name || f.Short != 0 && word == "-"+string(f.Short) {
			return f
		}
	}
	return nil
}

func positional(node *kong.Node, n int) *kong.Positional {
	if n >= len(node.Positional) {
		if n = len(node.Positional) - 1; n < 0 || !node.Positional[n].IsSlice() {
			return nil
		}
	}
	return node.Positional[n]
}

// ofFlag returns the values of a flag that has only few.
func ofFlag(f *kong.Flag) []string {
	if f.Name == "context" {
		file, _, err := readContexts()
		if err != nil {
			return nil
		}
		return slices.Collect(maps.Keys(file.Contexts))
	}
	return slices.Collect(maps.Keys(f.EnumMap()))
}

// isConnection reports whether a flag says which API to call, or as whom.
func isConnection(f *kong.Flag) bool {
	return f.Name == "context" || slices.Contains(ofContext, f.Name)
}

// completionTimeout is how long a shell waits for names.
const completionTimeout = 2 * time.Second

// scheduleNames asks the API for names that begin with a text.
func scheduleNames(ctx context.Context, connection []string, beginning string) (names []string) {
	var all commands
	var discarded bytes.Buffer
	parser, err := newParser(&all, console{out: &discarded, problems: &discarded}, func(int) {})
	if err != nil {
		return nil
	}
	if _, err := parser.Parse(append([]string{"schedule", "list"}, connection...)); err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, completionTimeout)
	defer cancel()
	query := url.Values{"per_page": {"200"}}
	if beginning != "" {
		query.Set("q", beginning)
	}
	answer, err := all.Schedule.List.call(ctx, http.MethodGet, "/schedules?"+query.Encode(), nil)
	var page struct{ Schedules []struct{ Name string } }
	if err != nil || json.Unmarshal(answer, &page) != nil {
		return nil
	}
	for _, s := range page.Schedules {
		names = append(names, s.Name)
	}
	return names
}
