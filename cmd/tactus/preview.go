package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/zone"
)

type previewCmd struct {
	clientFlags
	Expression string `arg:"" optional:"" name:"cron" help:"Cron expression: the same as --cron."`
	definitionFlags
	After    comingTime `placeholder:"TIME" help:"Show due times after this time (without an offset, in --tz), this day, or so long from now (default now)."`
	N        int        `short:"n" default:"10" help:"How many due times to show, at most 1000."`
	Language string     `enum:"en,ja" default:"en" help:"Language of the description: en or ja."`
}

// Run prints due times. They are found here, but for those of a schedule that goes by calendars, which the server has.
func (c previewCmd) Run(ctx context.Context, to console) error {
	members, err := c.members()
	if err != nil {
		return err
	}
	after, err := c.after(members)
	if err != nil {
		return err
	}
	find := c.here
	if members["exclude_calendars"] != nil || members["only_calendars"] != nil {
		find = c.there
	}
	p, err := find(ctx, members, after)
	if err != nil {
		return err
	}
	if !c.tabular() {
		answer, err := json.Marshal(p)
		if err != nil {
			return fmt.Errorf("write the preview: %w", err)
		}
		return c.show(to.out, answer)
	}
	for _, w := range p.Warnings {
		say(to.problems, "warning: %s\n", w.Message)
	}
	say(to.out, "%s\n", p.Description)
	return previewTable(to.out, p)
}

// members returns those of the schedule that is asked about.
func (c previewCmd) members() (map[string]any, error) {
	if c.Expression != "" && c.Cron != nil {
		return nil, usage("%q and --cron %q: give one of them", c.Expression, *c.Cron)
	}
	if c.Expression != "" {
		c.Cron = &c.Expression
	}
	if c.Cron != nil && strings.TrimSpace(*c.Cron) == "" {
		return nil, usage("the cron expression is empty: want minute hour day-of-month month day-of-week, such as \"30 9 " +
			"* * 1-5\"")
	}
	return c.definition()
}

// after returns the time after which due times are shown.
func (c previewCmd) after(members map[string]any) (time.Time, error) {
	if c.After == "" {
		return time.Now(), nil
	}
	name := ""
	if text, err := json.Marshal(members["timezone"]); err == nil {
		_ = json.Unmarshal(text, &name) // a definition in which it is no text is refused
	}
	location, err := zone.Load(cmp.Or(name, "UTC"))
	if err != nil {
		location = time.UTC // the definition is refused
	}
	return readTime(string(c.After), ahead, location)
}

// here finds due times without a server.
func (c previewCmd) here(_ context.Context, members map[string]any, after time.Time) (domain.Preview, error) {
	raw, err := json.Marshal(members)
	if err != nil {
		return domain.Preview{}, fmt.Errorf("write the definition: %w", err)
	}
	definition, unreadable := domain.Decode(raw)
	p, err := definition.Preview(domain.Ask{After: after, N: c.N, Language: c.Language}, "UTC")
	err = domain.Join(unreadable, err)
	if faults := domain.FaultsOf(err); faults != nil {
		return p, &refusal{faults: faults}
	}
	return p, err
}

// there asks the server for due times.
func (c previewCmd) there(ctx context.Context, members map[string]any, after time.Time) (p domain.Preview, err error) {
	members["after"], members["n"], members["language"] = after, c.N, c.Language
	answer, err := c.call(ctx, http.MethodPost, "/schedules/preview", members)
	if err != nil {
		return p, err
	}
	if err := json.Unmarshal(answer, &p); err != nil {
		return p, fmt.Errorf("read the answer: %w", err)
	}
	return p, nil
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
