package main

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/tactus-dev/tactus/domain"
)

// memberOf maps flags and arguments to the API's member that they give, if that has another name.
var memberOf = map[string]string{
	"cron": "cron_expression", "every": "interval_seconds", "at": "run_at", "preset": "preset_name", "tz": "timezone",
	"dialect": "cron_dialect", "task": "task_name", "tag": "tags", "exclude-calendar": "exclude_calendars",
	"only-calendar": "only_calendars", "disabled": "enabled", "misfire": "misfire_policy", "overlap": "execution_policy",
	"anchor": "interval_anchor", "jitter": "jitter_seconds", "spread": "spread_seconds",
	"expires": "expires_seconds", "time-limit": "time_limit_seconds",
	"soft-time-limit": "soft_time_limit_seconds", "misfire-window": "misfire_window_seconds",
	"misfire-grace": "misfire_grace_seconds", "gap": "dst_gap",
}

// otherwise are flags with the name of a flag that gives a member, but with another meaning.
var otherwise = []string{"runs --every", "notify --every", "key --expires", "key --overlap", "schedule --disabled"}

// knowMembers makes each flag known by the name of its member as well: --timezone is --tz.
func knowMembers(k *kong.Kong) error {
	for _, command := range k.Model.Children {
		eachFlagOf(command, func(f *kong.Flag) {
			if member, known := memberOf[f.Name]; known && !slices.Contains(otherwise, command.Name+" --"+f.Name) {
				f.Aliases = append(f.Aliases, strings.ReplaceAll(member, "_", "-"))
			}
		})
	}
	return nil
}

// eachFlagOf calls do for each flag of a command and of its subcommands.
func eachFlagOf(command *kong.Node, do func(*kong.Flag)) {
	for _, f := range command.Flags {
		do(f)
	}
	for _, child := range command.Children {
		eachFlagOf(child, do)
	}
}

// policyHelp is how the API describes what is a choice of several, in words of the command line, by the name of the
// member behind a prefix.
func policyHelp[T any](prefix string) map[string]string {
	flagOf := map[string]string{}
	for flag, member := range memberOf {
		flagOf[member] = "--" + flag
	}
	vars := map[string]string{}
	for field := range reflect.TypeFor[T]().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if field.Tag.Get("enum") != "" {
			vars[prefix+name] = memberName.ReplaceAllStringFunc(field.Tag.Get("doc"), func(member string) string {
				return cmp.Or(flagOf[member], member)
			})
		}
	}
	return vars
}

// explain returns what puts texts into the help of flags, where it names them as ${name}. The texts are no variables of
// kong's, which goes through all variables again for each flag: with texts as long as these, each command would begin
// by that for a fifth of a second.
func explain(texts ...map[string]string) func(*kong.Kong) error {
	var pairs []string
	for _, some := range texts {
		for name, text := range some {
			pairs = append(pairs, "${"+name+"}", strings.ReplaceAll(text, "$", "$$"))
		}
	}
	inHelp := strings.NewReplacer(pairs...)
	return func(k *kong.Kong) error {
		eachFlagOf(k.Model.Node, func(flag *kong.Flag) { flag.Help = inHelp.Replace(flag.Help) })
		return nil
	}
}

// flagWords maps members to the flags and arguments of a command that give them.
type flagWords map[string]string

func wordsOf(parsed *kong.Context) flagWords {
	words := flagWords{}
	member := func(name string) string {
		if of, otherwise := memberOf[name]; otherwise {
			return of
		}
		return strings.ReplaceAll(name, "-", "_")
	}
	for _, f := range parsed.Flags() {
		if of := f.Target.String(); f.Name == "file" && of != "" && of != "[]" {
			return nil // what is refused may stand in the file
		}
		dashes := "--"
		if len(f.Name) == 1 {
			dashes = "-"
		}
		words[member(f.Name)] = dashes + f.Name
	}
	if at := parsed.Selected(); at != nil {
		for _, argument := range at.Positional {
			if argument.Target.IsZero() {
				continue // a flag may say the same
			}
			words[member(argument.Name)] = "<" + argument.Name + ">"
		}
	}
	return words
}

// inFlags translates an error of the API, so that it names the flags of the command instead of the members of a
// request.
func inFlags(err error, parsed *kong.Context) error {
	refused, ok := errors.AsType[*refusal](err)
	if !ok {
		return err
	}
	words := wordsOf(parsed)
	if words == nil {
		return err
	}
	said := make([]*domain.Error, len(refused.faults))
	for i, f := range refused.faults {
		said[i] = words.fault(f)
	}
	refused.faults = said
	return err
}

var (
	memberName = regexp.MustCompile(`\b(rrule|[a-z]+(_[a-z]+)+)\b`)
	switchedOn = regexp.MustCompile(`"([a-z_]+)": true`)
)

// fault returns a fault in the words of the command line.
func (w flagWords) fault(f *domain.Error) *domain.Error {
	said := *f
	if f.Code == domain.ErrNameTaken.Code {
		said.Message = strings.Replace(f.Message, "or upsert by name", "or change that one by: tactus schedule update", 1)
	}
	said.Message = switchedOn.ReplaceAllStringFunc(said.Message, func(text string) string {
		if flag, ok := w[switchedOn.FindStringSubmatch(text)[1]]; ok {
			return flag
		}
		return text
	})
	said.Message = memberName.ReplaceAllStringFunc(said.Message, func(text string) string {
		if flag, ok := w[text]; ok {
			return flag
		}
		return text
	})
	member, rest, _ := strings.Cut(strings.TrimPrefix(f.Field, "/"), "/")
	flag, ok := w[member]
	if !ok {
		return &said
	}
	if nth, err := strconv.Atoi(strings.Split(rest, "/")[0]); err == nil {
		rest = fmt.Sprintf(" (number %d)", nth+1)
	} else if rest != "" {
		rest = " (" + rest + ")"
	}
	said.Field = flag + rest
	return &said
}
