package main

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
)

// scheduleCmd speaks to the API; preview needs none.
type scheduleCmd struct {
	Create  createCmd  `cmd:"" help:"Create a schedule."`
	List    listCmd    `cmd:"" help:"List schedules, newest first."`
	Get     getCmd     `cmd:"" help:"Show a schedule."`
	Update  updateCmd  `cmd:"" help:"Change what is given."`
	Delete  deleteCmd  `cmd:"" help:"Delete a schedule."`
	Enable  enableCmd  `cmd:"" help:"Let a schedule fire from now on."`
	Disable disableCmd `cmd:"" help:"Stop a schedule."`
	Trigger triggerCmd `cmd:"" help:"Run a schedule now."`
	Next    nextCmd    `cmd:"" help:"Show the next due times of a schedule."`
	History historyCmd `cmd:"" help:"Show the runs of a schedule, newest first."`
	Preview previewCmd `cmd:"" help:"Show when a cron expression is due, without a server."`
}

// one names a schedule.
type one struct {
	clientFlags
	Schedule string `arg:"" help:"Its id or its name."`
}

func (c one) send(ctx context.Context, to console, method, action string, body any) error {
	path, err := c.path(ctx, c.Schedule)
	if err != nil {
		return err
	}
	answer, err := c.call(ctx, method, path+action, body)
	if err != nil {
		return err
	}
	return c.show(to.out, answer)
}

type createCmd struct {
	clientFlags
	definitionFlags
}

// Run creates.
func (c createCmd) Run(ctx context.Context, to console) error {
	definition, err := c.definition()
	if err != nil {
		return err
	}
	answer, err := c.call(ctx, http.MethodPost, "/schedules", definition)
	if err != nil {
		return err
	}
	return c.show(to.out, answer)
}

type listCmd struct {
	clientFlags
	Page     int      `default:"1" help:"Which page."`
	PerPage  int      `default:"50" help:"How many on a page, at most 1000."`
	Enabled  string   `enum:",true,false" default:"" help:"Only enabled (true) or disabled (false) ones."`
	Invalid  string   `enum:",true,false" default:"" help:"Only those that cannot be scheduled as they are (true), or all others (false)."`
	Category string   `help:"Only those of a category."`
	Tag      []string `sep:"none" help:"Only those with a tag; repeated, with all of them."`
	Task     string   `help:"Only those of a task."`
	Query    string   `short:"q" help:"Only those with this in their name."`
}

// Run lists.
func (c listCmd) Run(ctx context.Context, to console) error {
	query := url.Values{"page": {strconv.Itoa(c.Page)}, "per_page": {strconv.Itoa(c.PerPage)}}
	for name, value := range map[string]string{"enabled": c.Enabled, "invalid": c.Invalid, "category": c.Category, "task_name": c.Task, "q": c.Query} {
		if value != "" {
			query.Set(name, value)
		}
	}
	query["tag"] = c.Tag
	answer, err := c.call(ctx, http.MethodGet, "/schedules?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	return c.show(to.out, answer)
}

type getCmd struct{ one }

// Run shows.
func (c getCmd) Run(ctx context.Context, to console) error {
	return c.send(ctx, to, http.MethodGet, "", nil)
}

type updateCmd struct {
	one
	definitionFlags
}

// Run changes.
func (c updateCmd) Run(ctx context.Context, to console) error {
	definition, err := c.definition()
	if err != nil {
		return err
	}
	return c.send(ctx, to, http.MethodPatch, "", definition)
}

type deleteCmd struct{ one }

// Run deletes.
func (c deleteCmd) Run(ctx context.Context, to console) error {
	return c.send(ctx, to, http.MethodDelete, "", nil)
}

type enableCmd struct{ one }

// Run enables.
func (c enableCmd) Run(ctx context.Context, to console) error {
	return c.send(ctx, to, http.MethodPost, "/enable", nil)
}

type disableCmd struct{ one }

// Run disables.
func (c disableCmd) Run(ctx context.Context, to console) error {
	return c.send(ctx, to, http.MethodPost, "/disable", nil)
}

type triggerCmd struct{ one }

// Run runs the schedule.
func (c triggerCmd) Run(ctx context.Context, to console) error {
	return c.send(ctx, to, http.MethodPost, "/trigger", nil)
}

type nextCmd struct {
	one
	N int `short:"n" default:"10" help:"How many, at most 1000."`
}

// Run shows due times.
func (c nextCmd) Run(ctx context.Context, to console) error {
	return c.send(ctx, to, http.MethodGet, "/next?n="+strconv.Itoa(c.N), nil)
}

type historyCmd struct {
	one
	Limit int `default:"100" help:"How many, at most 1000."`
}

// Run shows runs.
func (c historyCmd) Run(ctx context.Context, to console) error {
	return c.send(ctx, to, http.MethodGet, "/history?limit="+strconv.Itoa(c.Limit), nil)
}
