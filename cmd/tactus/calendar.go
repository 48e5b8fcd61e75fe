package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/tactus-dev/tactus/domain/calendar"
)

// calendarCmd calls the API about calendars.
type calendarCmd struct {
	List   calendarListCmd   `cmd:"" help:"List the calendars, ordered by name."`
	Get    calendarGetCmd    `cmd:"" help:"Show a calendar, with the days and ranges that it holds next."`
	Put    calendarPutCmd    `cmd:"" help:"Create a calendar, or replace its days. Schedules that use it go by it at once."`
	Import calendarImportCmd `cmd:"" help:"Create a calendar from an iCalendar file (.ics), or replace its days by those of the file."`
	Delete calendarDeleteCmd `cmd:"" help:"Delete a calendar that no schedule uses."`
}

type calendarListCmd struct {
	clientFlags
	Page    int `default:"1" help:"Page, from 1 on."`
	PerPage int `default:"50" help:"Calendars on a page, at most 100."`
}

// Run lists calendars.
func (c calendarListCmd) Run(ctx context.Context, to console) error {
	query := url.Values{"page": {strconv.Itoa(c.Page)}, "per_page": {strconv.Itoa(c.PerPage)}}
	answer, err := c.call(ctx, http.MethodGet, "/calendars?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	return c.show(to.out, answer)
}

// calendarFlags name a calendar.
type calendarFlags struct {
	clientFlags
	Name string `arg:"" help:"Name of the calendar: letters, digits, dots, hyphens and underscores."`
}

func (c calendarFlags) path() string { return "/calendars/" + url.PathEscape(c.Name) }

type calendarGetCmd struct {
	calendarFlags
	Timezone string `name:"tz" placeholder:"ZONE" help:"Time zone in which the next days are shown."`
}

// Run shows a calendar.
func (c calendarGetCmd) Run(ctx context.Context, to console) error {
	path := c.path()
	if c.Timezone != "" {
		path += "?" + url.Values{"timezone": {c.Timezone}}.Encode()
	}
	answer, err := c.call(ctx, http.MethodGet, path, nil)
	if err != nil {
		return named(err, "calendar", c.Name)
	}
	return c.show(to.out, answer)
}

// calendarContent is the body of a request that writes a calendar.
type calendarContent struct {
	Description string          `json:"description,omitempty"`
	Source      *string         `json:"source,omitempty"`
	Days        []calendar.Item `json:"days"`
}

type calendarPutCmd struct {
	calendarFlags
	Days        []string `arg:"" optional:"" help:"Days (2027-01-01) and ranges of days (2027-05-03..2027-05-05)."`
	File        string   `short:"f" placeholder:"FILE" help:"JSON file with the members description and days, or with ics; - is standard input."`
	Empty       bool     `help:"Take all days out."`
	Description string   `help:"What the calendar is."`
}

// Run writes a calendar.
func (c calendarPutCmd) Run(ctx context.Context, to console) error {
	var body any
	switch {
	case c.File != "" && len(c.Days) > 0:
		return usage("give days, or a file, not both")
	case c.Empty != (c.File == "" && len(c.Days) == 0):
		return usage("give days, or a file; --empty, and neither, for a calendar without days")
	case c.File != "":
		raw, err := readInput(c.File, maxDefinitionFile)
		if err != nil {
			return err
		}
		if !json.Valid(raw) {
			return fmt.Errorf("%s is not JSON (an iCalendar file is read by: tactus calendar import)", c.File)
		}
		body = json.RawMessage(raw)
	default:
		content := calendarContent{Description: c.Description, Days: []calendar.Item{}}
		for _, text := range c.Days {
			from, until, _ := strings.Cut(text, "..")
			content.Days = append(content.Days, calendar.Item{From: from, To: until})
		}
		body = content
	}
	answer, err := c.call(ctx, http.MethodPut, c.path(), body)
	if err != nil {
		return err
	}
	return c.show(to.out, answer)
}

type calendarImportCmd struct {
	clientFlags
	File        string `arg:"" help:"The iCalendar file; - is standard input."`
	Name        string `help:"Name of the calendar; that of the file without its ending unless given."`
	Description string `help:"What the calendar is."`
	DryRun      bool   `help:"Only print the days and ranges."`
}

// Run imports a file.
func (c calendarImportCmd) Run(ctx context.Context, to console) error {
	if c.File == "-" && c.Name == "" && !c.DryRun {
		return usage("standard input has no name: give --name")
	}
	raw, err := readInput(c.File, maxImportFile)
	if err != nil {
		return err
	}
	items, err := calendar.ParseICS(string(raw))
	if faults, ok := errors.AsType[calendar.Errors](err); ok {
		lines := make([]string, len(faults))
		for i, f := range faults {
			lines[i] = fmt.Sprintf("%s:%d: %s", c.File, f.Item, f.Message)
		}
		return errors.New(strings.Join(lines, "\n"))
	}
	if c.DryRun {
		return printJSON(to.out, items)
	}
	name := c.Name
	if name == "" {
		name = strings.TrimSuffix(filepath.Base(c.File), filepath.Ext(c.File))
	}
	if items == nil {
		items = []calendar.Item{}
	}
	content := calendarContent{Description: c.Description, Days: items}
	answer, err := c.call(ctx, http.MethodPut, "/calendars/"+url.PathEscape(name), content)
	if err != nil {
		return err
	}
	return c.show(to.out, answer)
}

type calendarDeleteCmd struct{ calendarFlags }

// Run deletes a calendar.
func (c calendarDeleteCmd) Run(ctx context.Context, _ console) error {
	_, err := c.call(ctx, http.MethodDelete, c.path(), nil)
	return named(err, "calendar", c.Name)
}
