package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/domain/zone"
	"github.com/tactus-dev/tactus/internal/importer"
)

// importCmd imports schedules from where Celery teams keep them. For tables there is adopt.
type importCmd struct {
	RedBeat importRedBeatCmd `cmd:"" name:"redbeat" help:"Import the entries that RedBeat keeps in Redis."`
	Celery  importCeleryCmd  `cmd:"" help:"Import a static beat_schedule from the output of the script that --script prints."`
	Crontab importCrontabCmd `cmd:"" help:"Import the lines of a crontab file."`
	Routes  importRoutesCmd  `cmd:"" help:"Import the routes of a Celery application's tasks, from the output of import celery's script."`
}

// importFlags say where entries come from, and what may change.
type importFlags struct {
	databaseFlags
	queueFlag
	Timezone string   `name:"celery-timezone" placeholder:"ZONE" help:"Time zone of the imported schedules, overriding what the source says."`
	Source   string   `placeholder:"LABEL" help:"Name of this source (default the application with its host and directory, the Redis database (with the host where the URL says localhost), or the host and file; standard input has none). An import changes and prunes only schedules from a source of the same name."`
	Accept   []string `placeholder:"KIND" help:"Import entries despite these kinds of differences: ${differences}."`
	DryRun   bool     `help:"Show the plan, and change nothing."`
	pruneFlags
	Output string `short:"o" enum:"table,json" default:"table" help:"How to print: table or json."`
}

// pruneFlags say whether to delete what a source no longer has.
type pruneFlags struct {
	Prune    bool `help:"Delete what came from this source and is no longer in it; refused if nothing from it would be left."`
	PruneAll bool `help:"The same, even if nothing from this source would be left."`
}

// checks refuses to delete the last schedules of a source. An input that is empty by mistake, because a command failed
// or a Redis lost its data, must not stop everything. gone is how many would be deleted, and left how many would stay.
func (f pruneFlags) checks(gone, left int, one, several string) error {
	if !f.Prune || f.PruneAll || gone == 0 || left > 0 {
		return nil
	}
	return fmt.Errorf("nothing was imported or deleted: --prune would delete %s, and nothing from this source would be "+
		"left: give --prune-all if it is really empty now", counted(gone, one, several))
}

func (f pruneFlags) prunes() bool { return f.Prune || f.PruneAll }

func (f importFlags) validate() error {
	if err := knownKinds(f.Accept, importer.Kinds); err != nil {
		return err
	}
	if f.Timezone == "" {
		return nil
	}
	if _, err := zone.Load(f.Timezone); err != nil {
		return usage("--celery-timezone: %v", err)
	}
	return nil
}

func knownKinds(accepted, kinds []string) error {
	for _, kind := range accepted {
		if !slices.Contains(kinds, kind) {
			return usage("--accept %s: there is no such kind of difference; the kinds are %s", kind,
				strings.Join(kinds, ", "))
		}
	}
	return nil
}

// maxLabel is the most characters of a label, which becomes part of a tag and of names.
const maxLabel = 100

// sourceLabel returns the label that --source gives, or an empty text. It ignores blanks at both ends.
func (f importFlags) sourceLabel() string { return strings.TrimSpace(f.Source) }

// from returns the source. Its label is the one that --source gives, or else called.
func (f importFlags) from(kind, called string) (importer.Source, error) {
	label := cmp.Or(f.sourceLabel(), called)
	if utf8.RuneCountInString(label) > maxLabel {
		return importer.Source{}, usage("--source: %q is longer than %d characters: give a shorter one", label,
			maxLabel)
	}
	return importer.Source{Kind: kind, Label: label}, nil
}

// fromApplication returns the source of an application's entries and routes.
func (f importFlags) fromApplication(application importer.Application) (importer.Source, error) {
	return f.from(importer.Celery, application.Label)
}

// alone refuses a source without a given label if another source has one of its names. If both are the same place,
// everything would be imported twice; only the user knows whether they are. Without names there is no such doubt.
func (f importFlags) alone(ctx context.Context, i *importer.Importer, names ...string) error {
	if f.sourceLabel() != "" {
		return nil
	}
	others, err := i.OtherOrigins(ctx, names...)
	if err != nil || len(others) == 0 {
		return err
	}
	return usage("what came from %s is here already: give --source %s if this is the same source, or another label if "+
		"it is another one of that name", strings.Join(others, " and from "), strconv.Quote(others[0]))
}

// bring plans the import, prints the plan, and applies it. A refused entry does not stop the others, but makes the
// command fail.
func (f importFlags) bring(ctx context.Context, to console, source importer.Source, entries []importer.Entry,
	timezone string, names ...string,
) error {
	pool, err := f.open(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	i := importer.New(pool, source, cmp.Or(timezone, "UTC"), f.Accept...)
	if err := f.alone(ctx, i, names...); err != nil {
		return err
	}
	rows, err := i.Plan(ctx, entries, time.Now())
	if err != nil {
		return err
	}
	if err := i.Destinations(ctx, rows, f.Queue); err != nil {
		return err
	}
	refused, err := f.show(to.out, rows)
	if err != nil {
		return err
	}
	say(to.problems, "the tag of what comes from here is %s\n", text(source.Tag()))
	gone, left := importer.Remains(rows)
	if err := f.checks(gone, left, "schedule", "schedules"); err != nil {
		return err
	}
	if !f.DryRun {
		if err := i.Apply(ctx, rows, f.prunes()); err != nil {
			return err
		}
	}
	if refused > 0 {
		return fmt.Errorf("%s refused", counted(refused, "schedule is", "schedules are"))
	}
	return nil
}

func (f importFlags) show(to io.Writer, rows []importer.Row) (refused int, err error) {
	changes := map[string]int{}
	for _, r := range rows {
		changes[r.Change]++
	}
	if f.Output == "json" {
		return changes["refused"], printJSON(to, map[string]any{"schedules": rows})
	}
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "CHANGE\tNAME\tTRIGGER\tNEXT\tQUEUE\tREMARKS")
	for _, r := range rows {
		parts := append(append([]string{}, r.Changes...), r.Notes...)
		for _, d := range r.Differences {
			if r.Reason == "" {
				parts = append(parts, d.Message)
			}
		}
		if r.Reason != "" {
			parts = append(parts, r.Reason)
		}
		next := "-"
		if r.Next != nil {
			next = clock(r.Next)
		}
		say(table, "%s\t%s\t%s\t%s\t%s\t%s\n", r.Change, text(r.Name), text(r.Trigger), next,
			text(destination(r)), text(strings.Join(parts, "; ")))
	}
	say(table, "\n%d new, %d changed, %d the same, %d gone, %d refused\n",
		changes["new"], changes["changed"], changes["same"], changes["gone"], changes["refused"])
	return changes["refused"], table.Flush()
}

// destination returns where the tasks of a row go, and, unless its schedule decides that, what does.
func destination(r importer.Row) string {
	switch r.QueueBy {
	case "":
		return "-"
	case "schedule":
		return r.Queue
	}
	return r.Queue + " (" + r.QueueBy + ")"
}

type importRedBeatCmd struct {
	importFlags
	redBeatFlags
	Application string `placeholder:"FILE" help:"Output of import celery's script, for the application's time zone and routes."`
}

// Run imports RedBeat's entries.
func (c importRedBeatCmd) Run(ctx context.Context, to console) error {
	if err := c.importFlags.validate(); err != nil {
		return err
	}
	options, source, err := c.redBeat(c.sourceLabel())
	if err != nil {
		return err
	}
	client := redis.NewClient(options)
	defer client.Close()
	reading := importer.RedBeatOptions{Prefix: c.Prefix, Timezone: c.Timezone}
	if c.Application != "" {
		application, err := readApplication(c.Application, to)
		if err != nil {
			return err
		}
		reading.Application, reading.Timezone = &application, cmp.Or(c.Timezone, application.Zone())
	}
	entries, err := importer.ReadRedBeat(ctx, client, reading)
	if err != nil {
		return err
	}
	return c.bring(ctx, to, source, entries, reading.Timezone, c.names(options)...)
}

// readApplication reads the output of the script, and prints its remarks, and the settings with which tactus uses the
// same keys as the application's workers.
func readApplication(file string, to console) (importer.Application, error) {
	raw, err := readAll(file)
	if err != nil {
		return importer.Application{}, err
	}
	application, err := importer.ParseApplication(raw)
	if err != nil {
		return application, usage("%s: %v", file, err)
	}
	for _, note := range application.Notes {
		say(to.problems, "%s\n", text(note))
	}
	settings := application.Settings()
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		say(to.problems, "the workers of %s need the setting %s=%s of api and relay\n", application.Name, name,
			strconv.Quote(settings[name]))
	}
	return application, nil
}

type importCeleryCmd struct {
	importFlags
	Script bool   `help:"Only print the script, which is run where the application is installed: python3 script.py project.celery:app."`
	File   string `arg:"" optional:"" default:"-" help:"Output of the script; - reads standard input."`
}

// Run imports the entries of beat_schedule. Each keeps its own time zone unless --celery-timezone names another.
func (c importCeleryCmd) Run(ctx context.Context, to console) error {
	if c.Script {
		_, err := io.WriteString(to.out, importer.Script)
		return err
	}
	if err := c.importFlags.validate(); err != nil {
		return err
	}
	application, err := readApplication(c.File, to)
	if err != nil {
		return err
	}
	source, err := c.fromApplication(application)
	if err != nil {
		return err
	}
	return c.bring(ctx, to, source, application.In(c.Timezone), cmp.Or(c.Timezone, application.Zone()),
		application.Names()...)
}

type importCrontabCmd struct {
	importFlags
	Task    string `required:"" placeholder:"TASK" help:"Task that runs a line's command. Its args are [command]; its kwargs are stdin, env and user, where the line has them."`
	System  *bool  `negatable:"" help:"Lines name a user before the command, as in /etc/crontab and /etc/cron.d."`
	Seconds *bool  `negatable:"" help:"Lines begin with a seconds field."`
	ToQueue string `name:"queue" placeholder:"QUEUE" help:"Queue that the lines go to (default where a route sends the task, or else the default queue)."`
	File    string `arg:"" help:"Crontab file, with lines of at most 64 KiB; - reads standard input (crontab -l), and needs --source."`
}

// Run imports the lines of a crontab. Their time zone is this host's, as for cron, unless --celery-timezone names
// another.
func (c importCrontabCmd) Run(ctx context.Context, to console) error {
	if err := c.importFlags.validate(); err != nil {
		return err
	}
	if c.sourceLabel() == "" && nameless(c.File) {
		return usage("%s does not say which crontab it reads: give --source LABEL, another label for each crontab "+
			"(what was imported from standard input without one has %s)", c.File, strconv.Quote(ofThisUser()))
	}
	raw, err := readAll(c.File)
	if err != nil {
		return err
	}
	if c.File == "-" && len(raw) == 0 && !c.PruneAll {
		return errors.New("nothing came on standard input, and nothing was changed: whatever was to write it has " +
			"failed (is there a crontab command, and a crontab of this user? see crontab -l), or has nothing")
	}
	if c.Timezone == "" {
		name, from, found := hostZone()
		if !found {
			return usage("the time zone of this host has no name: name the zone of the lines by --celery-timezone")
		}
		say(to.problems, "the time zone of the lines is %s, which %s of this host names; --celery-timezone "+
			"names another\n", name, from)
		c.Timezone = name
	}
	source, err := c.from(importer.Crontab, crontabLabel(c.File))
	if err != nil {
		return err
	}
	if system := isSystemCrontab(c.File); c.System == nil && system {
		c.System = &system
	}
	entries, err := importer.ParseCrontab(ctx, string(raw), importer.CrontabOptions{
		Task: c.Task, System: c.System, Seconds: c.Seconds, Timezone: c.Timezone, Queue: c.ToQueue, IsUser: isUser,
		IsProgram: isProgram,
	})
	if err != nil {
		return err
	}
	if zones := importer.OtherZones(entries, c.Timezone); len(zones) > 0 {
		say(to.problems, "CRON_TZ puts lines in the time zone %s, and tactus takes them so; the cron of "+
			"Debian and Ubuntu does not know it, and has run them in that of the host: if yours is that one, take "+
			"CRON_TZ out\n", strings.Join(zones, ", "))
	}
	return c.bring(ctx, to, source, entries, c.Timezone)
}

// crontabLabel returns the host and the file.
func crontabLabel(file string) string {
	if whole, err := filepath.Abs(file); err == nil {
		file = whole
	}
	return hostname() + ":" + file
}

// nameless reports whether several crontabs can be read by one path: standard input, a pipe or another device.
func nameless(file string) bool {
	if file == "-" {
		return true
	}
	whole, err := filepath.Abs(file)
	if err != nil {
		whole = file
	}
	about, err := os.Stat(file)
	return strings.HasPrefix(whole, "/dev/") || strings.HasPrefix(whole, "/proc/") ||
		err == nil && about.Mode()&(os.ModeNamedPipe|os.ModeSocket|os.ModeDevice) != 0
}

// ofThisUser returns the label that a crontab from standard input has had by default: the host and the user.
func ofThisUser() string {
	if who, err := user.Current(); err == nil {
		return hostname() + ":" + who.Username
	}
	return hostname()
}

func hostname() string {
	host, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return host
}

func isSystemCrontab(file string) bool {
	whole, err := filepath.Abs(file)
	return err == nil && (whole == "/etc/crontab" || filepath.Dir(whole) == "/etc/cron.d")
}

func isUser(name string) bool {
	_, err := user.Lookup(name)
	return err == nil
}

// isProgram reports whether a shell of this host would run a word.
func isProgram(name string) bool {
	_, err := exec.LookPath(name)
	return err == nil || slices.Contains(shellsOwn, name)
}

// shellsOwn are words that a POSIX shell runs itself.
var shellsOwn = []string{
	"alias", "bg", "break", "case", "cd", "command", "continue", "eval", "exec", "exit", "export", "fg", "for",
	"getopts", "hash", "if", "jobs", "local", "read", "readonly", "return", "set", "shift", "source", "times", "trap",
	"type", "ulimit", "umask", "unalias", "unset", "until", "wait", "while",
}

func readAll(path string) ([]byte, error) {
	raw, err := readInput(path, maxImportFile)
	if err != nil {
		return nil, usage("%v", err)
	}
	return raw, nil
}
