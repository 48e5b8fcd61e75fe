// Command tactus keeps schedules and fires them: api, relay and beat as processes of their own, everything in one process
// for development, and the tools around them.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tactus-dev/tactus/internal/hostzones"
	"github.com/tactus-dev/tactus/internal/importer"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// commands is the table of subcommands, one file each.
type commands struct {
	Version  kong.VersionFlag `help:"Tell the version, its commit, the Go version, and that of the time zone data."`
	Zoneinfo string           `env:"ZONEINFO" placeholder:"PATH" help:"Folder or zip file with time zone data, used when it is newer than the program's; the system's is without being named."`

	Dev       devCmd        `cmd:"" help:"Run everything in one process, over a PostgreSQL and a Redis of its own."`
	API       apiCmd        `cmd:"" name:"api" help:"Serve the HTTP API."`
	Relay     relayCmd      `cmd:"" help:"Carry every change and run to Redis."`
	Beat      beatCmd       `cmd:"" help:"Fire what is due."`
	Migrate   migrateCmd    `cmd:"" help:"Bring the database's schema up to date."`
	Schedule  scheduleCmd   `cmd:"" help:"Create, read and change schedules."`
	Route     routeCmd      `cmd:"" help:"Show and change routes, which say where tasks go whose schedules name no queue."`
	Health    healthCmd     `cmd:"" help:"Tell whether a process is ready."`
	Bench     benchCmd      `cmd:"" help:"Measure what is promised, on real servers."`
	Replay    replayCmd     `cmd:"" help:"Publish a range of events again, into a stream of its own."`
	Import    importCmd     `cmd:"" help:"Bring schedules in from RedBeat, a beat_schedule or a crontab."`
	Export    exportCmd     `cmd:"" help:"Write to the source of imported schedules when each ran last."`
	Adopt     adoptCmd      `cmd:"" help:"Follow the schedules in another service's table, by triggers."`
	Unadopt   unadoptCmd    `cmd:"" help:"Stop following a table: remove the triggers, and hand the schedules back."`
	Rebuild   rebuildCmd    `cmd:"" help:"Make the table of schedules again from the events, and compare."`
	Redeliver redeliverCmd  `cmd:"" help:"Hand over again what the broker has lost."`
	Letters   deadletterCmd `cmd:"" name:"deadletter" help:"Show, put back or drop what was set aside."`
	Shadow    shadowCmd     `cmd:"" help:"Report what a beat in shadow mode would have done."`
	Doctor    doctorCmd     `cmd:"" help:"Tell whether the time zone data is old here, or not the same in all processes."`
	Verify    verifyCmd     `cmd:"" help:"Check that nothing is lost: log, stream, schedules and runs against each other."`
}

// Exit codes.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// errUsage marks an error of whoever called: what was asked for cannot be done as it was said.
var errUsage = errors.New("usage")

// console is where a command writes.
type console struct{ out, problems io.Writer }

func newParser(into *commands, to console, exit func(int)) (*kong.Kong, error) {
	return kong.New(into,
		kong.Name("tactus"), kong.Description("Schedules that never miss a beat."),
		kong.Writers(to.out, to.problems), kong.UsageOnError(), kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Vars{"version": versions(), "sections": sectionNames(), "differences": strings.Join(importer.Kinds, ", ")}, kong.Exit(exit), kong.Resolvers(secretFiles{}))
}

func run(args []string, out, problems io.Writer) int {
	code, all := -1, commands{}
	out, problems = printable{out}, printable{problems}
	_ = hostzones.FromEnvironment() // for --version; what is wrong is told below
	parser, err := newParser(&all, console{out, problems}, func(n int) { code = n })
	if err != nil {
		fmt.Fprintln(problems, "tactus:", err)
		return exitFailure
	}
	parsed, err := parser.Parse(args)
	if code >= 0 { // --help has been answered
		return code
	}
	if err != nil {
		fmt.Fprintln(problems, "tactus:", err)
		if len(args) == 0 {
			fmt.Fprintln(problems, "tactus: tactus --help says what each command is for")
		}
		return exitUsage
	}
	if err := checkSecrets(parsed); err != nil {
		return exitCode(err, problems)
	}
	if err := hostzones.Use(all.Zoneinfo); err != nil {
		fmt.Fprintln(problems, "tactus: not used:", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the first signal ends gracefully, the second kills
	parsed.BindTo(ctx, (*context.Context)(nil))
	parsed.Bind(&all, console{out, problems}, slog.New(slog.NewTextHandler(problems, nil)))
	return exitCode(parsed.Run(), problems)
}

func exitCode(err error, problems io.Writer) int {
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errReported):
		return exitFailure
	}
	fmt.Fprintln(problems, "tactus:", err)
	if mend := mendOf(err); mend != "" {
		fmt.Fprintln(problems, "tactus:", mend)
	}
	if errors.Is(err, errUsage) {
		return exitUsage
	}
	return exitFailure
}

// mendOf is what to do where PostgreSQL refused what a command needs; empty when that is not known.
func mendOf(err error) string {
	refused, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return ""
	}
	switch refused.Code {
	case "42P01", "3F000", "42703", "42883": // a table, the schema, a column or a function is not there
		if strings.Contains(refused.Message, "tactus") {
			return `the schema is not there, or older than this program: run "tactus migrate"`
		}
	case "42501":
		return "the role of DATABASE_URL lacks a right: docs/roles.md has those of each role" +
			" (to adopt a table, its owner says: grant select, update, trigger on TABLE to ROLE)"
	}
	return ""
}

// errReported is a failure that the command has already told about.
var errReported = errors.New("reported")

// usage is an error of the caller, in words.
func usage(format string, args ...any) error { return usageError(fmt.Sprintf(format, args...)) }

type usageError string

func (e usageError) Error() string { return string(e) }
func (usageError) Unwrap() error   { return errUsage }
