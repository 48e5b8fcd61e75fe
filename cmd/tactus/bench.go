package main

import (
	"context"
	"errors"
	"strings"

	"github.com/tactus-dev/tactus/internal/bench"
)

// benchCmd measures on the servers that the environment names, and starts those that it does not name.
type benchCmd struct {
	DatabaseURL secret   `env:"DATABASE_URL" placeholder:"URL" help:"A PostgreSQL server on which bench may create databases (default: bench starts one); or DATABASE_URL_FILE, a file with it."`
	RedisURL    secret   `env:"REDIS_URL" placeholder:"URL" help:"An empty Redis database (default: bench starts a server); or REDIS_URL_FILE, a file with it."`
	Sections    []string `arg:"" optional:"" name:"section" help:"What to measure: ${sections} (default all)."`
	Quick       bool     `help:"Run one small round, which shows only that the benchmark works."`
	Schedules   int      `default:"100000" help:"Schedules in the database whose endpoints are measured (section api)."`
	Runs        int      `default:"500000" help:"Runs in that database."`
	Output      string   `short:"o" enum:"table,json" default:"table" help:"table or json."`
}

// Run measures and prints the report. After an error it prints as much of the report as there is.
func (c benchCmd) Run(ctx context.Context, to console) error {
	if c.Schedules < 1 || c.Runs < 1 {
		return usage("--schedules and --runs: at least 1")
	}
	sections, err := bench.Choose(bench.Sections(), c.Sections)
	if err != nil {
		return usage("%v", err)
	}
	report, err := bench.Run(ctx, bench.Config{
		DatabaseURL: c.DatabaseURL.reveal(), RedisURL: c.RedisURL.reveal(), Quick: c.Quick, Schedules: c.Schedules, Runs: c.Runs,
		Say: func(text string) { say(to.problems, "bench: %s\n", text) },
	}, sections)
	write := report.WriteTable
	if c.Output == "json" {
		write = report.WriteJSON
	}
	return errors.Join(write(to.out), err)
}

func sectionNames() string {
	var names []string
	for _, s := range bench.Sections() {
		names = append(names, s.Name)
	}
	return strings.Join(names, ", ")
}
