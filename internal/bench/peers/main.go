package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"github.com/tactus-dev/tactus/internal/bench"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	cfg := bench.Config{
		DatabaseURL: os.Getenv("DATABASE_URL"), RedisURL: os.Getenv("REDIS_URL"),
		Say: func(text string) { fmt.Fprintln(os.Stderr, "bench:", text) },
	}
	flag.BoolVar(&cfg.Quick, "quick", false, "one small round, which shows that it works and nothing else")
	output := flag.String("o", "table", "table or json")
	flag.Parse()
	sections, err := bench.Choose(append(peers(), bench.Sections()...), flag.Args())
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	report, err := bench.Run(ctx, cfg, sections)
	write := report.WriteTable
	if *output == "json" {
		write = report.WriteJSON
	}
	return errors.Join(write(os.Stdout), err)
}

// peers lists the sections that need modules of others.
func peers() []bench.Section {
	return []bench.Section{
		{Name: "cron", About: "due times beside robfig/cron", Run: cronSection},
		{Name: "forwarder", About: "the relay beside watermill-sql", Run: forwarderSection},
	}
}
