package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/tactus-dev/tactus/outbox"
)

// scheduleCmd calls the API, except for a preview that needs no calendars.
type scheduleCmd struct {
	Create   createCmd   `cmd:"" help:"Create a schedule."`
	List     listCmd     `cmd:"" help:"List schedules, newest first."`
	Get      getCmd      `cmd:"" help:"Show a schedule."`
	Update   updateCmd   `cmd:"" help:"Change the given members of a schedule."`
	Delete   deleteCmd   `cmd:"" help:"Delete a schedule."`
	Enable   enableCmd   `cmd:"" aliases:"resume" help:"Enable a schedule, which fires from now on."`
	Disable  disableCmd  `cmd:"" aliases:"pause" help:"Disable a schedule, which no longer fires, perhaps for a time and with a reason."`
	Skip     skipCmd     `cmd:"" help:"Skip the next due times of a schedule."`
	Trigger  triggerCmd  `cmd:"" help:"Run a schedule now, perhaps with other arguments."`
	Backfill backfillCmd `cmd:"" help:"Run a schedule for due times of the past."`
	Next     nextCmd     `cmd:"" help:"Show the next due times of a schedule."`
	History  historyCmd  `cmd:"" help:"Show the runs of a schedule, newest first."`
	Events   eventsCmd   `cmd:"" help:"Show what each change of a schedule changed, newest first, with who made it and why."`
	Revert   revertCmd   `cmd:"" help:"Give a schedule the definition of a former version."`
	Bulk     bulkCmd     `cmd:"" help:"Enable, disable, delete, trigger, retag or change many schedules."`
	Preview  previewCmd  `cmd:"" help:"Show when a schedule would be due, with all that create takes. No server is asked, unless calendars are named."`
}

// oneSchedule names a schedule and calls the API about it.
type oneSchedule struct {
	clientFlags
	Schedule string `arg:"" help:"Id or name of the schedule."`
}

func (c oneSchedule) send(ctx context.Context, to console, method, action string, body any) error {
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

// Run creates a schedule.
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
	Page     int      `default:"1" help:"Page to show."`
	PerPage  int      `default:"50" help:"Schedules on a page, at most 1000."`
	Enabled  string   `enum:",true,false" default:"" help:"Only enabled (true) or disabled (false) schedules."`
	State    string   `enum:",active,paused,completed,invalid" default:"" help:"Only schedules in this state: active, paused, completed or invalid."`
	Invalid  string   `enum:",true,false" default:"" help:"Only schedules that cannot be scheduled as they are (true), or all others (false)."`
	Category string   `help:"Only schedules of this category."`
	Tag      []string `sep:"none" help:"Only schedules with this tag; may be repeated, for schedules with all of the tags."`
	Task     string   `help:"Only schedules of this task."`
	Query    string   `short:"q" help:"Only schedules whose names contain this text."`

	Text       string `help:"Only schedules whose names, tasks, descriptions, categories or tags contain this text."`
	Owner      string `placeholder:"OWNER" help:"Only schedules that this one keeps: source:NAME of files that were applied, import:KIND:LABEL, table:NAME of an adopted table; none for those of nobody."`
	Queue      string `help:"Only schedules for this queue."`
	LastStatus string `placeholder:"STATE" help:"Only schedules whose newest run is in this state."`
	Sort       string `enum:",newest,name,next,last" default:"" help:"newest (first), name, next or last: by their next or last run."`
	PageToken  string `placeholder:"TOKEN" help:"The next_page_token of the answer before, for lists with --queue, --last-status, --text, --owner or --sort."`
}

// Run lists schedules.
func (c listCmd) Run(ctx context.Context, to console) error {
	query := url.Values{"page": {strconv.Itoa(c.Page)}, "per_page": {strconv.Itoa(c.PerPage)}}
	for name, value := range map[string]string{
		"enabled": c.Enabled, "state": c.State, "invalid": c.Invalid, "category": c.Category,
		"task_name": c.Task, "q": c.Query, "queue": c.Queue, "last_status": c.LastStatus, "sort": c.Sort,
		"page_token": c.PageToken, "text": c.Text, "owner": c.Owner,
	} {
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

type getCmd struct{ oneSchedule }

// Run shows a schedule.
func (c getCmd) Run(ctx context.Context, to console) error {
	return c.send(ctx, to, http.MethodGet, "", nil)
}

type updateCmd struct {
	oneSchedule
	definitionFlags
}

// Run changes a schedule.
func (c updateCmd) Run(ctx context.Context, to console) error {
	definition, err := c.definition()
	if err != nil {
		return err
	}
	return c.send(ctx, to, http.MethodPatch, "", definition)
}

type deleteCmd struct{ oneSchedule }

// Run deletes a schedule.
func (c deleteCmd) Run(ctx context.Context, to console) error {
	return c.send(ctx, to, http.MethodDelete, "", nil)
}

type enableCmd struct{ oneSchedule }

// Run enables a schedule.
func (c enableCmd) Run(ctx context.Context, to console) error {
	return c.send(ctx, to, http.MethodPost, "/enable", nil)
}

type disableCmd struct {
	oneSchedule
	Until comingTime `placeholder:"TIME" help:"When it is enabled again by itself: a time (without an offset, in its zone), a day, or how long from now (90m, 3d)."`
}

// Run disables a schedule.
func (c disableCmd) Run(ctx context.Context, to console) error {
	_, reason := outbox.ActorOf(ctx) // --reason, which every command has
	return c.send(ctx, to, http.MethodPost, "/disable", filled("reason", reason, "until", string(c.Until)))
}

type skipCmd struct {
	oneSchedule
	Count int `short:"n" default:"1" help:"How many due times to skip, behind those that are skipped already; 0 skips none any more."`
}

// Run skips due times.
func (c skipCmd) Run(ctx context.Context, to console) error {
	_, reason := outbox.ActorOf(ctx)
	members := filled("reason", reason)
	members["count"] = c.Count
	return c.send(ctx, to, http.MethodPost, "/skip", members)
}

// filled returns the members that have a value. pairs are names and values.
func filled(pairs ...string) map[string]any {
	members := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			members[pairs[i]] = pairs[i+1]
		}
	}
	return members
}

type triggerCmd struct {
	oneSchedule
	runFlags
}

// Run triggers a run.
func (c triggerCmd) Run(ctx context.Context, to console) error {
	members := map[string]any{}
	if err := c.fill(members); err != nil {
		return err
	}
	return c.send(ctx, to, http.MethodPost, "/trigger", members)
}

type nextCmd struct {
	oneSchedule
	N int `short:"n" default:"10" help:"How many due times to show, at most 1000."`
}

// Run shows due times.
func (c nextCmd) Run(ctx context.Context, to console) error {
	path, err := c.path(ctx, c.Schedule)
	if err != nil {
		return err
	}
	answer, err := c.call(ctx, http.MethodGet, path+"/next?n="+strconv.Itoa(c.N), nil)
	if err != nil {
		return err
	}
	var next struct {
		DueTimes []string `json:"due_times"`
	}
	if err := json.Unmarshal(answer, &next); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if len(next.DueTimes) == 0 {
		say(to.problems, "%s has no due times: it is disabled, or can fire no more\n", c.Schedule)
	}
	return c.show(to.out, answer)
}

type historyCmd struct {
	oneSchedule
	Limit int `short:"n" default:"100" help:"How many runs to show, at most 1000."`
}

// Run shows runs.
func (c historyCmd) Run(ctx context.Context, to console) error {
	return c.send(ctx, to, http.MethodGet, "/history?limit="+strconv.Itoa(c.Limit), nil)
}

type eventsCmd struct {
	oneSchedule
	Limit int `short:"n" default:"50" help:"How many changes to show, at most 200."`
}

// Run shows changes.
func (c eventsCmd) Run(ctx context.Context, to console) error {
	return c.send(ctx, to, http.MethodGet, "/events?limit="+strconv.Itoa(c.Limit), nil)
}

type revertCmd struct {
	oneSchedule
	Version int64 `arg:"" help:"Version to go back to, as events shows it."`
}

// Run goes back to a version.
func (c revertCmd) Run(ctx context.Context, to console) error {
	return c.send(ctx, to, http.MethodPost, "/revert", map[string]int64{"version": c.Version})
}
