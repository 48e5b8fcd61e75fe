package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/tactus-dev/tactus/outbox"
)

// bulkCmd changes many schedules.
type bulkCmd struct {
	clientFlags
	Action     string     `arg:"" enum:"enable,resume,disable,pause,delete,trigger,retag,set" help:"enable (or resume), disable (or pause), delete, trigger, retag or set."`
	IDs        []string   `arg:"" optional:"" name:"schedule" help:"Ids or names of the schedules; without any, the flags choose them."`
	All        bool       `help:"All schedules."`
	Enabled    string     `enum:",true,false" default:"" help:"Only enabled (true) or disabled (false) schedules."`
	Category   string     `help:"Only schedules of this category."`
	Tag        []string   `sep:"none" help:"Only schedules with this tag; may be repeated, for schedules with all of the tags."`
	Task       string     `help:"Only schedules of this task."`
	Queue      string     `help:"Only schedules for this queue."`
	Query      string     `short:"q" help:"Only schedules whose names contain this text."`
	Text       string     `help:"Only schedules whose names, tasks, descriptions, categories or tags contain this text."`
	Owner      string     `placeholder:"OWNER" help:"Only schedules that this one keeps: source:NAME, import:KIND:LABEL, table:NAME; none for those of nobody."`
	LastStatus string     `placeholder:"STATE" help:"Only schedules whose newest run is in this state."`
	PauseGroup string     `placeholder:"GROUP" help:"Only what the disabling of this name has disabled: enable puts back exactly that."`
	DryRun     bool       `help:"Only show what would become of which."`
	Until      comingTime `placeholder:"TIME" help:"disable: when they are enabled again by themselves: a time, a day, or how long from now (90m, 3d)."`
	Group      string     `help:"disable: the name of the operation (made up unless given)."`
	AddTag     []string   `sep:"none" help:"retag: a tag to add; may be repeated."`
	RemoveTag  []string   `sep:"none" help:"retag: a tag to remove; may be repeated."`
	Set        string     `placeholder:"JSON" help:"set: the members to change, as in '{\"priority\":3}'."`
}

// Run changes schedules, a hundred in each request, and prints the outcome of each.
func (c bulkCmd) Run(ctx context.Context, to console) error {
	filter := filled("category", c.Category, "task_name", c.Task, "queue", c.Queue, "q", c.Query,
		"last_status", c.LastStatus, "pause_group", c.PauseGroup, "text", c.Text, "owner", c.Owner)
	if c.Enabled != "" {
		filter["enabled"] = c.Enabled == "true"
	}
	if len(c.Tag) > 0 {
		filter["tag"] = c.Tag
	}
	if chosen := len(filter) > 0 || c.All; chosen == (len(c.IDs) > 0) {
		return usage("name schedules, or choose them by flags, such as --tag nightly, or --all")
	}
	if action, ok := map[string]string{"pause": "disable", "resume": "enable"}[c.Action]; ok {
		c.Action = action
	}
	ids := make([]string, len(c.IDs))
	for i, schedule := range c.IDs {
		path, err := c.path(ctx, schedule)
		if err != nil {
			return err
		}
		ids[i] = strings.TrimPrefix(path, "/schedules/")
	}
	c.IDs = ids
	_, reason := outbox.ActorOf(ctx)
	body := filled("action", c.Action, "until", string(c.Until), "group", c.Group, "reason", reason)
	body["dry_run"] = c.DryRun
	if len(c.AddTag)+len(c.RemoveTag) > 0 {
		body["add_tags"], body["remove_tags"] = c.AddTag, c.RemoveTag
	}
	if c.Set != "" {
		if !json.Valid([]byte(c.Set)) {
			return usage("--set %q: want a JSON object", c.Set)
		}
		body["set"] = json.RawMessage(c.Set)
	}
	return c.all(ctx, to, body, filter)
}

// bulkPage is the response to one request.
type bulkPage struct {
	Group    string            `json:"group,omitempty"`
	DryRun   bool              `json:"dry_run"`
	Outcomes []json.RawMessage `json:"outcomes"`
	Next     string            `json:"next_page_token,omitempty"`
}

func (c bulkCmd) all(ctx context.Context, to console, body, filter map[string]any) error {
	done := bulkPage{Outcomes: []json.RawMessage{}, DryRun: c.DryRun}
	err := c.inParts(ctx, to, "/schedules/bulk", c.IDs, filter, body, func(answer []byte) (next string, n int, err error) {
		var page bulkPage
		if err := json.Unmarshal(answer, &page); err != nil {
			return "", 0, err
		}
		done.Outcomes = append(done.Outcomes, page.Outcomes...)
		if done.Group = page.Group; page.Group != "" {
			body["group"] = page.Group // all parts are one operation
		}
		return page.Next, len(page.Outcomes), nil
	})
	if err != nil {
		return err
	}
	if err := c.tell(to, done); err != nil {
		return err
	}
	if len(done.Outcomes) == 0 && !c.All {
		return missing("no schedule is chosen by these flags, and nothing was done: tactus schedule list -o wide " +
			"shows " +
			"names, tags, tasks and queues")
	}
	return nil
}

// tell prints the outcomes, and returns an error if some schedules were refused.
func (c bulkCmd) tell(to console, done bulkPage) error {
	answer, err := json.Marshal(done)
	if err != nil {
		return err
	}
	if err := c.show(to.out, answer); err != nil {
		return err
	}
	counts := map[string]int{}
	for _, raw := range done.Outcomes {
		var one struct{ Outcome string }
		if err := json.Unmarshal(raw, &one); err != nil {
			return fmt.Errorf("read the answer: %w", err)
		}
		counts[one.Outcome]++
	}
	if c.DryRun {
		say(to.problems,
			"%d schedules would be changed, %d are so already; this is a dry run, and none is changed\n",
			counts["would"], counts["unchanged"])
	} else {
		say(to.problems, "%d schedules done, %d as they were\n", counts["done"], counts["unchanged"])
	}
	if c.Action == "disable" && counts["done"] > 0 {
		say(to.problems, "put back exactly these: tactus schedule bulk enable --pause-group %s\n", done.Group)
	}
	if n := counts["refused"]; n > 0 {
		return fmt.Errorf("%d schedules were refused: see above", n)
	}
	return nil
}
