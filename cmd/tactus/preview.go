package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/zone"
)

type previewCmd struct {
	Cron     string     `arg:"" optional:"" help:"Cron expression."`
	RRule    string     `name:"rrule" placeholder:"RULE" help:"Recurrence of RFC 5545 instead of a cron expression, such as FREQ=WEEKLY;INTERVAL=2."`
	TZ       string     `name:"tz" placeholder:"ZONE" help:"IANA time zone (default the TZ= of the expression, or UTC)."`
	After    comingTime `placeholder:"TIME" help:"Show due times after this time (without an offset, in --tz), this day, or so long from now (default now)."`
	N        int        `short:"n" default:"10" help:"How many due times to show, at most 1000."`
	Dialect  string     `enum:"celery,vixie,quartz,aws" default:"celery" help:"Dialect: celery ANDs the two day fields, vixie ORs them; quartz (seconds first) and aws (cron(...), rate(...), at(...)) count Sunday as 1."`
	Seconds  bool       `help:"The expression has six fields, the first of them seconds."`
	Gap      string     `name:"dst-gap" enum:"auto,run_after,skip" default:"auto" help:"What to do with a due time that the clocks skip: auto, run_after or skip."`
	Overlap  string     `name:"dst-overlap" enum:"auto,first,second,both" default:"auto" help:"What to do with a due time that the clocks repeat: auto, first, second or both."`
	Language string     `enum:"en,ja" default:"en" help:"Language of the description: en or ja."`
	Output   string     `short:"o" enum:"table,json" default:"table" help:"table or json."`
}

// Run prints due times.
func (c previewCmd) Run(to console) error {
	if strings.TrimSpace(c.Cron) == "" && c.RRule == "" {
		return usage("the cron expression is empty: want minute hour day-of-month month day-of-week, such as \"30 9 " +
			"* * 1-5\"")
	}
	after, err := c.after()
	if err != nil {
		return err
	}
	definition := domain.Definition{
		CronExpression: c.Cron, RRule: c.RRule, CronDialect: c.Dialect, CronSeconds: c.Seconds, Timezone: c.TZ,
		DSTGap: c.Gap, DSTOverlap: c.Overlap,
	}
	p, err := definition.Preview(domain.Ask{After: after, N: c.N, Language: c.Language}, "UTC")
	if faults := domain.FaultsOf(err); faults != nil {
		return &refusal{faults: faults}
	}
	if err != nil {
		return err
	}
	if c.Output == "json" {
		return printJSON(to.out, p)
	}
	for _, w := range p.Warnings {
		say(to.problems, "warning: %s\n", w.Message)
	}
	say(to.out, "%s\n", p.Description)
	return previewTable(to.out, p)
}

// after returns the time after which due times are shown.
func (c previewCmd) after() (time.Time, error) {
	if c.After == "" {
		return time.Now(), nil
	}
	location, err := zone.Load(cmp.Or(c.TZ, "UTC"))
	if err != nil {
		location = time.UTC // the definition is refused
	}
	return readTime(string(c.After), ahead, location)
}

// previewTable prints a line for each due time, and one for each due time that a gap skips.
func previewTable(to io.Writer, p domain.Preview) error {
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	marks := p.Marks
	for _, due := range p.DueTimes {
		note := ""
		for len(marks) > 0 && !marks[0].At.After(due) {
			if mark := marks[0]; mark.Mark == "skipped" || mark.Mark == "excluded" {
				say(table, "%s\t%s\n", "(nothing)", words(mark))
			} else {
				note = words(mark)
			}
			marks = marks[1:]
		}
		say(table, "%s\t%s\n", due.Format(time.RFC3339), note)
	}
	return table.Flush()
}

func words(m domain.Mark) string {
	switch m.Mark {
	case "moved":
		return "moved from " + m.Wall + ", which the clocks skip"
	case "skipped":
		return "the clocks skip " + m.Wall
	case "excluded":
		return "excluded by calendars: " + m.At.Format(time.RFC3339) + " " + m.Reason
	case "shifted":
		return "moved by calendars from " + m.Wall + " " + m.Reason
	}
	return fmt.Sprintf("showing %d of 2 of this time", m.Copy)
}
