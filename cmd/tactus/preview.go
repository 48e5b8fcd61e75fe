package main

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/tactus-dev/tactus/domain"
)

type previewCmd struct {
	Cron    string    `arg:"" help:"A cron expression."`
	TZ      string    `name:"tz" default:"UTC" help:"Zone (IANA)."`
	After   time.Time `help:"Due times after this (RFC 3339; now unless given)."`
	N       int       `short:"n" default:"10" help:"How many, at most 1000."`
	Dialect string    `enum:"celery,vixie" default:"celery" help:"celery ANDs the two day fields, vixie ORs them."`
	Seconds bool      `help:"The expression has six fields, the first of them seconds."`
	Output  string    `short:"o" enum:"table,json" default:"table" help:"table or json."`
}

// Run previews.
func (c previewCmd) Run(to console) error {
	after := c.After
	if after.IsZero() {
		after = time.Now()
	}
	definition := domain.Definition{CronExpression: c.Cron, CronDialect: c.Dialect, CronSeconds: c.Seconds, Timezone: c.TZ}
	p, err := definition.Preview(after, c.N, "UTC")
	if err != nil {
		return usage("%v", err)
	}
	if c.Output == "json" {
		raw, err := json.MarshalIndent(p, "", "  ")
		if err != nil {
			return err
		}
		fmt.Fprintln(to.out, string(raw))
		return nil
	}
	for _, due := range p.DueTimes {
		fmt.Fprintln(to.out, due.Format(time.RFC3339))
	}
	for _, w := range p.Warnings {
		fmt.Fprintln(to.problems, "warning:", w.Message)
	}
	return nil
}
