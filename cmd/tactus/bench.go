package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/tactus-dev/tactus/internal/bench"
)

// benchCmd takes what it measures on from the environment, and brings up what is not named there.
type benchCmd struct {
	DatabaseURL secret   `env:"DATABASE_URL" placeholder:"URL" help:"A PostgreSQL server on which databases may be made; one of our own unless given; or DATABASE_URL_FILE, a file with it."`
	RedisURL    secret   `env:"REDIS_URL" placeholder:"URL" help:"An empty Redis database; a server of our own unless given; or REDIS_URL_FILE, a file with it."`
	Sections    []string `arg:"" optional:"" name:"section" help:"What to measure: ${sections}. All unless said."`
	Quick       bool     `help:"One small round: shows that it works, and nothing else."`
	Schedules   int      `default:"100000" help:"How many schedules the database has whose endpoints are asked (api)."`
	Runs        int      `default:"500000" help:"How many runs it has."`
	Output      string   `short:"o" enum:"table,json" default:"table" help:"table or json."`
}

// Run measures. What there is of a report is printed, whatever went wrong later.
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
		Say: func(text string) { fmt.Fprintln(to.problems, "bench:", text) },
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
