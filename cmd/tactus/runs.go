package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/wait"
)

// runsCmd calls the API about the runs of all schedules.
type runsCmd struct {
	List   runsListCmd   `cmd:"" help:"List the runs of all schedules, newest first."`
	Get    runsGetCmd    `cmd:"" help:"Show everything that is known about a run."`
	Tail   runsTailCmd   `cmd:"" help:"Print runs as they become due, and as their states change."`
	Rerun  runsRerunCmd  `cmd:"" help:"Run the tasks of runs again; the runs are given by their ids or by a filter."`
	Cancel runsCancelCmd `cmd:"" help:"Cancel runs, given by their ids or by a filter."`
}

// runChoice has the flags that select runs.
type runChoice struct {
	Status       []string `sep:"," placeholder:"STATE" help:"Only runs in this state, or one of several: due, sent, started, retrying, succeeded, failed, revoked, expired, skipped, missed, unknown."`
	Kind         string   `enum:",scheduled,manual,backfill" default:"" help:"Only scheduled, manual or backfill runs."`
	Schedule     string   `help:"Only runs of the schedule with this id or name."`
	Task         string   `help:"Only runs of schedules of this task."`
	Tag          []string `sep:"none" help:"Only runs of schedules with this tag; may be repeated, for schedules with all of the tags."`
	Queue        string   `help:"Only runs of schedules for this queue."`
	Worker       string   `help:"Only runs of this worker."`
	Error        string   `placeholder:"TEXT" help:"Only runs whose error contains this text."`
	Since        instant  `placeholder:"TIME" help:"Only runs that were due at this time or later: a time, a day, or how long ago (12h, 3d)."`
	Until        instant  `placeholder:"TIME" help:"Only runs that were due before this time."`
	FinishedFrom instant  `placeholder:"TIME" help:"Only runs that finished at this time or later."`
	FinishedTo   instant  `placeholder:"TIME" help:"Only runs that finished before this time."`
}

// query returns the flags as parameters of the API. The filter in the body of an action has the same members.
func (f runChoice) query(ctx context.Context, c clientFlags) (url.Values, error) {
	query := url.Values{}
	for name, value := range map[string]string{
		"kind": f.Kind, "task_name": f.Task, "queue": f.Queue, "worker": f.Worker, "error": f.Error,
	} {
		if value != "" {
			query.Set(name, value)
		}
	}
	for name, at := range map[string]instant{
		"due_from": f.Since, "due_to": f.Until, "finished_from": f.FinishedFrom, "finished_to": f.FinishedTo,
	} {
		if !at.IsZero() {
			query.Set(name, at.UTC().Format(time.RFC3339Nano))
		}
	}
	for name, values := range map[string][]string{"status": f.Status, "tag": f.Tag} {
		if len(values) > 0 {
			query[name] = values
		}
	}
	if f.Schedule == "" {
		return query, nil
	}
	id, err := c.scheduleID(ctx, f.Schedule)
	query.Set("schedule", id)
	return query, err
}

// scheduleID returns the id of a schedule, given its id or its name.
func (c clientFlags) scheduleID(ctx context.Context, schedule string) (string, error) {
	path, err := c.path(ctx, schedule)
	if err != nil {
		return "", err
	}
	return path[len("/schedules/"):], nil
}

// runPage is a page of runs, each as the server sent it.
type runPage struct {
	Runs []json.RawMessage `json:"runs"`
	Next string            `json:"next_page_token"`
}

// runs returns up to limit runs.
func (c clientFlags) runs(ctx context.Context, query url.Values, limit int) (all runPage, err error) {
	for {
		query.Set("page_size", strconv.Itoa(min(limit-len(all.Runs), 1000)))
		answer, err := c.call(ctx, http.MethodGet, "/runs?"+query.Encode(), nil)
		if err != nil {
			return all, err
		}
		var page runPage
		if err := json.Unmarshal(answer, &page); err != nil {
			return all, fmt.Errorf("read the answer: %w", err)
		}
		all.Runs, all.Next = append(all.Runs, page.Runs...), page.Next
		if page.Next == "" || len(all.Runs) >= limit {
			return all, nil
		}
		query.Set("page_token", page.Next)
	}
}

type runsListCmd struct {
	clientFlags
	runChoice
	Limit int `short:"n" default:"50" help:"How many runs to show."`
}

// Run lists runs.
func (c runsListCmd) Run(ctx context.Context, to console) error {
	if c.Limit < 1 {
		return usage("--limit %d: want 1 or more", c.Limit)
	}
	query, err := c.query(ctx, c.clientFlags)
	if err != nil {
		return err
	}
	page, err := c.runs(ctx, query, c.Limit)
	if err != nil {
		return err
	}
	page.Runs = append([]json.RawMessage{}, page.Runs...)
	answer, err := json.Marshal(page)
	if err != nil {
		return err
	}
	return c.show(to.out, answer)
}

type runsGetCmd struct {
	clientFlags
	ID string `arg:"" name:"run" help:"Id of the run."`
}

// Run shows a run.
func (c runsGetCmd) Run(ctx context.Context, to console) error {
	answer, err := c.call(ctx, http.MethodGet, "/runs/"+url.PathEscape(c.ID), nil)
	if err != nil {
		return named(err, "run", c.ID)
	}
	return c.show(to.out, answer)
}

type runsTailCmd struct {
	clientFlags
	runChoice
	Every time.Duration `default:"1s" help:"How often to ask the server."`
}

// tailBehind is for how long after its due time a run is watched, and tailMost the most runs of one request.
const (
	tailBehind = 15 * time.Minute
	tailMost   = 1000
)

// Run prints runs until ctx ends, oldest first. It prints a run again whenever its state has changed.
func (c runsTailCmd) Run(ctx context.Context, to console) error {
	if c.Every <= 0 {
		return usage("--every %s: want a time, such as 1s", c.Every)
	}
	query, err := c.query(ctx, c.clientFlags)
	if err != nil {
		return err
	}
	begun := time.Now()
	if !c.Since.IsZero() {
		begun = c.Since.Time
	}
	for told := map[string]string{}; ctx.Err() == nil; _ = wait.For(ctx, c.Every) {
		from := time.Now().Add(-tailBehind)
		if from.Before(begun) {
			from = begun
		}
		query.Set("due_from", from.UTC().Format(time.RFC3339Nano))
		query.Del("page_token")
		page, err := c.runs(ctx, query, tailMost)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if told, err = c.tell(to, page, told); err != nil {
			return err
		}
	}
	return nil
}

// tell prints the runs whose states differ from those in told, and returns the states of all runs of the page.
func (c runsTailCmd) tell(to console, page runPage, told map[string]string) (map[string]string, error) {
	now := make(map[string]string, len(page.Runs))
	for i := len(page.Runs) - 1; i >= 0; i-- {
		var run map[string]any
		if err := json.Unmarshal(page.Runs[i], &run); err != nil {
			return nil, fmt.Errorf("read the answer: %w", err)
		}
		id, status := text(run["id"]), text(run["status"])
		if now[id] = status; told[id] == status {
			continue
		}
		if c.Output == "json" {
			say(to.out, "%s\n", ours(page.Runs[i]))
			continue
		}
		say(to.out, "%s  %-9s  %s  %s  %s\n", text(run["due_at"]), status, id, text(run["schedule_name"]), text(run["error"]))
	}
	return now, nil
}

// manyRuns has the runs that an action changes: those with the given ids, or those that a filter selects.
type manyRuns struct {
	clientFlags
	runChoice
	IDs    []string `arg:"" optional:"" name:"run" help:"Ids of the runs; without any, the flags select them."`
	DryRun bool     `help:"Only show what would become of which runs."`
}

// act posts an action, a part at a time, until all runs are handled, and prints the outcome of each.
func (c manyRuns) act(ctx context.Context, to console, action string, body map[string]any) error {
	query, err := c.query(ctx, c.clientFlags)
	if err != nil {
		return err
	}
	switch {
	case len(c.IDs) > 0 && len(query) > 0:
		return usage("name runs by their ids or by flags, not by both")
	case len(c.IDs) == 0 && len(query) == 0:
		return usage("name runs by their ids, or choose them by flags, such as --status failed --since 12h")
	}
	body["dry_run"] = c.DryRun
	filter := map[string]any{}
	for name, values := range query {
		filter[name] = values[0]
		if name == "status" || name == "tag" {
			filter[name] = values
		}
	}
	all := runPage{Runs: []json.RawMessage{}}
	err = c.inParts(ctx, to, "/runs/"+action, c.IDs, filter, body, func(answer []byte) (next string, n int, err error) {
		var page runPage
		if err := json.Unmarshal(answer, &page); err != nil {
			return "", 0, err
		}
		all.Runs = append(all.Runs, page.Runs...)
		return page.Next, len(page.Runs), nil
	})
	if err != nil {
		return err
	}
	return c.tellAll(to, all)
}

// inParts posts a body until it has been answered for all ids, a hundred at a time, or for all that a filter selects.
// each reads an answer, and returns the token of the next part, and how many the answer is about.
func (c clientFlags) inParts(ctx context.Context, to console, path string, ids []string, filter, body map[string]any,
	each func(answer []byte) (next string, n int, err error),
) error {
	total, done := int64(len(ids)), int64(0)
	if total == 0 {
		total = -1
	}
	bar := newProgress(to.problems, total)
	defer func() { bar.end(done) }()
	for {
		if n := min(len(ids), 100); n > 0 {
			body["ids"], ids = ids[:n], ids[n:]
		} else {
			body["filter"] = filter
		}
		answer, err := c.call(ctx, http.MethodPost, path, body)
		if err != nil {
			return err
		}
		next, n, err := each(answer)
		if err != nil {
			return fmt.Errorf("read the answer: %w", err)
		}
		done += int64(n)
		bar.at(done)
		if body["page_token"] = next; next == "" && len(ids) == 0 {
			return nil
		}
	}
}

// tellAll prints the outcomes, and returns an error if some runs were refused.
func (c manyRuns) tellAll(to console, all runPage) error {
	refused, unknown := 0, 0
	for _, raw := range all.Runs {
		var run struct{ Code, Outcome string }
		if err := json.Unmarshal(raw, &run); err != nil {
			return fmt.Errorf("read the answer: %w", err)
		}
		if run.Code != "" || slices.Contains([]string{"finished", "locked", "stream", "not_found"}, run.Outcome) {
			refused++
		}
		if run.Code == domain.ErrRunNotFound.Code || run.Outcome == domain.ErrRunNotFound.Code {
			unknown++
		}
	}
	answer, err := json.Marshal(map[string]any{"run_outcomes": all.Runs, "dry_run": c.DryRun})
	if err != nil {
		return err
	}
	if err := c.show(to.out, answer); err != nil {
		return err
	}
	chosen := counted(len(all.Runs)-refused, "run", "runs")
	if c.DryRun {
		chosen += " would be changed; this is a dry run, and nothing was done"
	}
	say(to.problems, "%s\n", chosen)
	if unknown > 0 && unknown == len(all.Runs) {
		return missing("there are no such runs")
	}
	if refused > 0 {
		return fmt.Errorf("%d runs were refused: see above", refused)
	}
	return nil
}

type runsRerunCmd struct{ manyRuns }

// Run runs the tasks of runs again.
func (c runsRerunCmd) Run(ctx context.Context, to console) error {
	return c.act(ctx, to, "rerun", map[string]any{})
}

type runsCancelCmd struct {
	manyRuns
	Terminate bool `help:"Kill tasks that are running already."`
}

// Run cancels runs.
func (c runsCancelCmd) Run(ctx context.Context, to console) error {
	return c.act(ctx, to, "cancel", map[string]any{"terminate": c.Terminate})
}
