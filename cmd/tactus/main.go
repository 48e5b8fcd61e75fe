// Command tactus keeps schedules and fires them: api, relay and beat as processes of their own, everything in one
// process for development, and the tools around them.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/hostzones"
	"github.com/tactus-dev/tactus/internal/importer"
	"github.com/tactus-dev/tactus/outbox"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// commands is the table of subcommands, one file each.
type commands struct {
	Version  kong.VersionFlag `help:"Print the version, its commit, and the versions of Go and of the time zone data."`
	Zoneinfo string           `env:"ZONEINFO" placeholder:"PATH" help:"Folder or zip file with time zone data, used when it is newer than the program's own. The system's data is found without this."`
	Reason   string           `env:"TACTUS_REASON" placeholder:"TEXT" help:"Why the command changes what it changes: the events say so."`

	Dev       devCmd        `cmd:"" help:"Run everything in one process, with its own PostgreSQL and Redis."`
	API       apiCmd        `cmd:"" name:"api" help:"Serve the HTTP API."`
	Relay     relayCmd      `cmd:"" help:"Deliver every change and every run to Redis."`
	Beat      beatCmd       `cmd:"" help:"Fire what is due."`
	Migrate   migrateCmd    `cmd:"" help:"Bring the database's schema up to date."`
	Schedule  scheduleCmd   `cmd:"" help:"Create, read and change schedules."`
	Runs      runsCmd       `cmd:"" help:"Show the runs of all schedules, run them again, or cancel them."`
	Events    logCmd        `cmd:"" help:"Show who changed what, from the log, or print changes as they are committed."`
	Route     routeCmd      `cmd:"" help:"Show and change routes, which say where tasks go when their schedules name no queue."`
	Backfill  backfillsCmd  `cmd:"" help:"Show the backfills of a schedule, or cancel one."`
	Notify    notifyCmd     `cmd:"" help:"Show and change notification rules: who is told what of which schedules."`
	Calendar  calendarCmd   `cmd:"" help:"Show and change calendars: named sets of days and ranges by which schedules are kept from firing."`
	Apply     applyCmd      `cmd:"" help:"Make the server have the schedules, calendars and routes that files describe."`
	Schema    schemaCmd     `cmd:"" help:"Print the JSON Schema of the files of apply, for editors."`
	Complete  completionCmd `cmd:"" name:"completion" help:"Print what a shell needs to complete commands and names."`
	Key       keyCmd        `cmd:"" help:"Make, list, rotate and revoke API keys."`
	Health    healthCmd     `cmd:"" help:"Check whether a process is ready."`
	LogLevel  logLevelCmd   `cmd:"" help:"Show or change how much a running api, relay or beat logs."`
	Bench     benchCmd      `cmd:"" help:"Measure the promised figures on real servers."`
	Replay    replayCmd     `cmd:"" help:"Publish a range of events again, to a separate stream."`
	Import    importCmd     `cmd:"" help:"Import schedules from RedBeat, a beat_schedule or a crontab."`
	Export    exportCmd     `cmd:"" help:"Print schedules, calendars and routes as files of apply; or write to the source of imported schedules when each ran last."`
	Adopt     adoptCmd      `cmd:"" help:"Follow the schedules in another service's table, by triggers."`
	Unadopt   unadoptCmd    `cmd:"" help:"Stop following a table: remove the triggers, and hand the schedules back."`
	Rebuild   rebuildCmd    `cmd:"" help:"Rebuild the table of schedules from the events, and compare the two."`
	Redeliver redeliverCmd  `cmd:"" help:"Hand over again the runs that the broker has lost."`
	Letters   deadletterCmd `cmd:"" name:"deadletter" help:"Show, put back or drop dead letters."`
	Shadow    shadowCmd     `cmd:"" help:"Compare what a beat in shadow mode would have fired with what another beat sent."`
	Doctor    doctorCmd     `cmd:"" help:"Look at PostgreSQL, Redis, beats, relays, keys and time zone data, and say what to do."`
	Verify    verifyCmd     `cmd:"" help:"Compare log, stream, schedules and runs with each other, to check that nothing is lost."`
}

// Exit codes.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2

	exitNotFound = 3
	exitConflict = 4 // with what exists, or with another change
)

// errUsage marks an error in how a command was called, which exits with 2.
var errUsage = errors.New("usage")

// console holds the outputs of a command: out for its results, problems for everything else.
type console struct {
	out, problems io.Writer
	own           bool // the outputs are those of the process, so libraries log there, too
}

func newParser(into *commands, to console, exit func(int)) (*kong.Kong, error) {
	return kong.New(into,
		kong.Name("tactus"), kong.Description("Schedules that never miss a beat."),
		kong.Writers(to.out, to.problems), kong.UsageOnError(), kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Vars{
			"version": versions(), "sections": sectionNames(), "differences": strings.Join(importer.Kinds, ", "),
		},
		kong.Exit(exit), kong.Resolvers(secretFiles{}, contexts{}),
		durations, pointed[comingTime](), pointed[inSeconds](), kong.PostBuild(knowMembers),
		kong.PostBuild(explain(tracingHelp, policyHelp[domain.Definition](""), policyHelp[domain.BackfillRequest]("backfill_"))))
}

func run(args []string, out, problems io.Writer) int {
	code, all, own := -1, commands{}, problems == io.Writer(os.Stderr)
	out, problems = printable{out}, printable{problems}
	_ = hostzones.FromEnvironment() // --version prints the data in use; Use reports errors below
	parser, err := newParser(&all, console{out, problems, own}, func(n int) { code = n })
	if err != nil {
		tell(problems, err)
		return exitFailure
	}
	parsed, err := parser.Parse(args)
	if code >= 0 { // --help has been answered
		return code
	}
	if err != nil {
		tell(problems, err)
		say(problems, "tactus: %s\n", helpFor(err))
		return exitUsage
	}
	if err := errors.Join(refuseRepeated(parsed), checkSecrets(parsed)); err != nil {
		return exitCode(err, problems)
	}
	if err := hostzones.Use(all.Zoneinfo); err != nil {
		say(problems, "tactus: time zone data is not used: %v\n", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx = outbox.WithActor(ctx, actorOf(parsed.Command()), all.Reason)
	running := newParts()
	context.AfterFunc(ctx, stop) // the first signal stops gracefully, the second kills
	parsed.BindTo(ctx, (*context.Context)(nil))
	parsed.Bind(&all, console{out, problems, own}, slog.New(slog.NewTextHandler(problems, nil)), running)
	return running.within(ctx, problems, func() int { return exitCode(inFlags(parsed.Run(), parsed), problems) })
}

// actorOf returns the actor of a command's changes: a process of tactus, or the user of the program.
func actorOf(command string) string {
	switch name, _, _ := strings.Cut(command, " "); name {
	case "api", "relay", "beat", "dev":
		return "tactus:" + name
	}
	return cliActor()
}

// helpFor returns the command line that prints the help for a wrong call.
func helpFor(err error) string {
	if wrong, ok := errors.AsType[*kong.ParseError](err); ok && wrong.Context != nil {
		if at := wrong.Context.Selected(); at != nil {
			if at.Parent.Name == "schedule" && slices.Contains([]string{"enable", "disable", "delete", "trigger"}, at.Name) &&
				strings.HasPrefix(wrong.Error(), "unexpected argument") {
				return "several schedules at once: tactus schedule bulk " + at.Name + " NAME NAME, or --tag TAG"
			}
			return at.FullPath() + " --help says what it takes"
		}
		for _, step := range wrong.Context.Path {
			if step.Command != nil {
				return step.Command.FullPath() + " --help lists its commands"
			}
		}
	}
	return "tactus --help lists the commands"
}

func exitCode(err error, problems io.Writer) int {
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errReported):
		return exitFailure
	}
	tell(problems, err)
	if remedy := remedyFor(err); remedy != "" {
		say(problems, "tactus: %s\n", remedy)
	}
	if errors.Is(err, errUsage) {
		return exitUsage
	}
	if of, ok := errors.AsType[coded](err); ok {
		return of.exitCode()
	}
	if faults := domain.FaultsOf(err); len(faults) > 0 { // of a command that speaks to the database itself
		switch faults[0].Kind {
		case domain.NotFound:
			return exitNotFound
		case domain.Conflict, domain.Stale:
			return exitConflict
		}
	}
	return exitFailure
}

// coded is an error with an exit code.
type coded interface {
	error
	exitCode() int
}

// missing is the error for something that does not exist.
type missing string

func (m missing) Error() string { return string(m) }
func (missing) exitCode() int   { return exitNotFound }

// remedyFor returns what to do after PostgreSQL has refused a statement, or an empty text when that is not known.
func remedyFor(err error) string {
	refused, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return ""
	}
	switch refused.Code {
	case "42P01", "3F000", "42703", "42883": // a table, the schema, a column or a function is missing
		if strings.Contains(refused.Message, "tactus") {
			return `the schema is missing, or older than this program: run "tactus migrate"`
		}
	case "42501":
		return "the role of DATABASE_URL lacks a right: docs/roles.md lists the rights of each role" +
			" (before a table can be adopted, its owner runs: grant select, update, trigger on TABLE to ROLE)"
	}
	return ""
}

// errReported is a failure that the command has already printed.
var errReported = errors.New("reported")

// usage returns an error in how a command was called.
func usage(format string, args ...any) error { return usageError(fmt.Sprintf(format, args...)) }

type usageError string

func (e usageError) Error() string { return string(e) }
func (usageError) Unwrap() error   { return errUsage }
