package importer

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"iter"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tactus-dev/tactus/domain"
)

// CrontabOptions say what the lines of a crontab become: runs of one task, which receives the command.
type CrontabOptions struct {
	Task     string // receives args [command], and kwargs stdin, env and user where the line has them
	System   *bool  // whether lines name a user before the command, as in /etc/crontab; nil when not known
	Seconds  *bool  // whether lines begin with a field for seconds; nil when not known, which is usually not so
	Timezone string // of lines without a CRON_TZ before them
	Queue    string // that the lines name; empty when they name none

	IsUser    func(name string) bool // of this host
	IsProgram func(name string) bool // of this host, or of its shell
	mayName   bool                   // whether lines may name a user, by the whole file
}

// ParseCrontab parses a crontab file. As in cron, a day matches if it matches the day of the month or the day of the
// week. Names come from the command, so that a line whose time is edited remains the same schedule.
//
// Each entry carries the whole environment. A file with many lines after many assignments would therefore become far
// larger than it is; ParseCrontab refuses such a file.
func ParseCrontab(ctx context.Context, text string, options CrontabOptions) (entries []Entry, err error) {
	environment, zone, assigned := map[string]string{}, options.Timezone, 0
	options.mayName = options.System == nil && options.mayNameUsers(text)
	var kept budget
	for number, line := range crontabLines(text) {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("read crontab: %w", ctx.Err())
		}
		if m := assignment.FindStringSubmatch(line); m != nil {
			if assigned += len(line); assigned > maxEnvironment {
				return nil, fmt.Errorf("read crontab: line %d: the assignments come to more than %d MiB together",
					number, maxEnvironment>>20)
			}
			if m[1] == "CRON_TZ" {
				zone = shortZone(unquote(m[2]))
			} else {
				environment[m[1]] = unquote(m[2])
			}
			continue
		}
		e := options.line(line, number, zone, environment)
		if err := kept.keep(len(e.Definition.Args) + len(e.Definition.Kwargs)); err != nil {
			return nil, fmt.Errorf("read crontab: %w", err)
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// maxZone is longer than the name of any time zone, in bytes.
const maxZone = 64

// shortZone cuts what is too long for the name of a time zone, so that it still is none. All lines behind it are
// refused for it, and each repeats it.
func shortZone(name string) string {
	if len(name) <= maxZone {
		return name
	}
	return strings.ToValidUTF8(name[:maxZone], "") + "..."
}

// crontabLines returns the lines of a file that are neither blank nor comments, with their numbers.
func crontabLines(text string) iter.Seq2[int, string] {
	return func(yield func(int, string) bool) {
		number := 0
		for line := range strings.Lines(string(withoutMark([]byte(text)))) {
			line = strings.TrimSpace(line)
			number++
			if line != "" && line[0] != '#' && !yield(number, line) {
				return
			}
		}
	}
}

// mayNameUsers reports whether the lines of a file may name a user before the command, as those of /etc/crontab do: one
// of them names a user of this host; or, since the file may be another host's, what each of them names could be one,
// and is no program here.
func (o CrontabOptions) mayNameUsers(text string) bool {
	some, all := false, true
	for _, line := range crontabLines(text) {
		if len(line) > maxLine || assignment.MatchString(line) {
			continue
		}
		_, rest := o.split(line)
		first, behind := cut(rest, 1)
		if behind != "" && o.isUser(first) {
			return true
		}
		some = true
		all = all && behind != "" && userName.MatchString(first) && o.IsProgram != nil && !o.IsProgram(first)
	}
	return some && all
}

// userName matches what programs that add users to a host take for a name.
var userName = regexp.MustCompile(`^[a-z_][a-z0-9_-]*$`)

// OtherZones returns the time zones of lines that are in another one than that of the file, in their order.
func OtherZones(entries []Entry, of string) (zones []string) {
	for _, e := range entries {
		if z := e.Definition.Timezone; z != "" && z != of && !slices.Contains(zones, z) {
			zones = append(zones, z)
		}
	}
	return zones
}

// The longest line, and the longest assignments together, in bytes.
const (
	maxLine        = 64 << 10
	maxEnvironment = 1 << 20
)

// line returns the entry of a line. A line that is too long, or is not text, becomes a refused entry without the line's
// contents.
func (o CrontabOptions) line(line string, number int, zone string, environment map[string]string) Entry {
	e := Entry{Definition: domain.Definition{Name: fmt.Sprintf("cron line %d", number)}}
	switch {
	case len(line) > maxLine:
		e.refuse("line_too_long: line %d has %d KiB: at most %d are read", number, len(line)>>10, maxLine>>10)
	case !utf8.ValidString(line):
		e.refuse("utf8_invalid: line %d is not UTF-8: save the file as UTF-8", number)
	case strings.Contains(line, "\x00"):
		e.refuse("nul_unsupported: line %d has a NUL byte: take it out", number)
	default:
		return o.entry(line, zone, environment)
	}
	return e
}

var assignment = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)$`)

func unquote(text string) string {
	if n := len(text); n >= 2 && (text[0] == '"' || text[0] == '\'') && text[n-1] == text[0] {
		return text[1 : n-1]
	}
	return text
}

func (o CrontabOptions) entry(line, zone string, environment map[string]string) Entry {
	when, rest := o.split(line)
	e := Entry{}
	kwargs := map[string]any{}
	system := o.System != nil && *o.System
	switch first, behind := cut(rest, 1); {
	case o.Seconds == nil && line[0] != '@' && timeField.MatchString(first) && (!system || !o.isUser(first)):
		e.refuse("cron_syntax: its command begins with %q, which looks like another field of a time: use --seconds "+
			"if lines begin with the seconds, or --no-seconds if they do not", first)
	case system:
		kwargs["user"], rest = first, behind
	case o.mayName && behind != "" && userName.MatchString(first):
		e.refuse("system_unknown: %q, before the command, looks like a user, or other lines of the file name one: use "+
			"--system if it is one, or --no-system", first)
	}
	command, stdin := input(rest)
	if stdin != "" {
		kwargs["stdin"] = stdin
	}
	if len(environment) > 0 {
		kwargs["env"] = environment
	}
	name := crontabName(command)
	e.numbered = true
	e.Definition = domain.Definition{
		Name: name, TaskName: o.Task, CronExpression: when, CronDialect: "vixie", CronSeconds: o.seconds(line),
		Timezone: zone, Args: encode([]string{command}), Kwargs: encode(kwargs), Queue: o.Queue,
	}
	if why := cronRefuses(when); why != "" && !o.seconds(line) {
		e.differ("cron_refuses", why)
	}
	switch {
	case when == "@reboot":
		e.refuse("trigger_unsupported: @reboot is not a time")
	case command == "":
		e.refuse("cron_syntax: %q has no command", line)
	}
	return e
}

// split splits a line into its time and what stands behind.
func (o CrontabOptions) split(line string) (when, rest string) {
	switch {
	case line[0] == '@':
		return cut(line, 1)
	case o.seconds(line):
		return cut(line, 6)
	}
	return cut(line, 5)
}

// seconds reports whether a line begins with the seconds.
func (o CrontabOptions) seconds(line string) bool {
	return o.Seconds != nil && *o.Seconds && line[0] != '@'
}

func (o CrontabOptions) isUser(name string) bool { return o.IsUser != nil && o.IsUser(name) }

// timeField matches a word that is a field of a time rather than a command: where lines begin with the seconds, the day
// of the week, which may be written by names.
var timeField = regexp.MustCompile(`^(?i:[*?0-9][*?0-9LW#,/-]*|` + weekday + `(?:[-,/#]+(?:[*0-9]+|` + weekday + `)L?)*L?)$`)

const weekday = `(?:sun(?:day)?|mon(?:day)?|tue(?:sday)?|wed(?:nesday)?|thu(?:rsday)?|fri(?:day)?|sat(?:urday)?)`

func encode(value any) json.RawMessage {
	raw, _ := json.Marshal(value) // strings always encode
	return raw
}

// crontabName returns a name that depends on the command alone. Lines of one command get numbers (see name).
func crontabName(command string) string {
	hash := sha256.Sum256([]byte(command))
	short := []rune(strings.Join(strings.Fields(command), " "))
	return fmt.Sprintf("cron %s %x", string(short[:min(len(short), 80)]), hash[:4])
}

// cut splits the given number of words off the beginning of a line.
func cut(line string, words int) (taken, rest string) {
	var list []string
	rest = line
	for range words {
		rest = strings.TrimLeft(rest, " \t")
		end := strings.IndexAny(rest, " \t")
		if end < 0 {
			end = len(rest)
		}
		list = append(list, rest[:end])
		rest = rest[end:]
	}
	return strings.Join(list, " "), strings.TrimLeft(rest, " \t")
}

// input splits off the standard input that cron passes to a command: everything after the first %. Further percent
// signs are line breaks, and \% is a percent sign.
func input(text string) (command, stdin string) {
	var read strings.Builder
	end := -1 // where the command ends
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\' && i+1 < len(text) && text[i+1] == '%':
			read.WriteByte('%')
			i++
		case text[i] == '%' && end < 0:
			end = read.Len()
		case text[i] == '%':
			read.WriteByte('\n')
		default:
			read.WriteByte(text[i])
		}
	}
	if end < 0 {
		return strings.TrimSpace(read.String()), ""
	}
	return strings.TrimSpace(read.String()[:end]), read.String()[end:]
}
