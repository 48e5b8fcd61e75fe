package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// notifyCmd calls the API.
type notifyCmd struct {
	List   notifyListCmd   `cmd:"" help:"List the notification rules, ordered by name."`
	Get    notifyGetCmd    `cmd:"" help:"Show a notification rule, and how telling by it goes."`
	Put    notifyPutCmd    `cmd:"" help:"Create a notification rule, or replace it. Its address and secret stay as they are unless given."`
	Rotate notifyRotateCmd `cmd:"" help:"Give a webhook a new secret, and print it this once. The one before signs beside it for a day."`
	Test   notifyTestCmd   `cmd:"" help:"Send a test to the destination of a rule, and say what came of it."`
	Delete notifyDeleteCmd `cmd:"" help:"Delete a notification rule, and what it was still to tell."`
}

type notifyListCmd struct {
	clientFlags
	Page    int `default:"1" help:"Page, from 1 on."`
	PerPage int `default:"50" help:"Rules on a page, at most 100."`
}

// Run lists rules.
func (c notifyListCmd) Run(ctx context.Context, to console) error {
	query := url.Values{"page": {strconv.Itoa(c.Page)}, "per_page": {strconv.Itoa(c.PerPage)}}
	return c.ask(ctx, to, http.MethodGet, "/notification-rules?"+query.Encode(), nil)
}

// ask calls the API, and prints the answer.
func (c clientFlags) ask(ctx context.Context, to console, method, path string, body any) error {
	answer, err := c.call(ctx, method, path, body)
	if err != nil {
		return err
	}
	return c.show(to.out, answer)
}

// notifyFlags name a rule.
type notifyFlags struct {
	clientFlags
	Name string `arg:"" help:"Name of the rule: letters, digits, dots, hyphens and underscores."`
}

func (c notifyFlags) path() string { return "/notification-rules/" + url.PathEscape(c.Name) }

type notifyGetCmd struct{ notifyFlags }

// Run shows a rule.
func (c notifyGetCmd) Run(ctx context.Context, to console) error {
	return c.ask(ctx, to, http.MethodGet, c.path(), nil)
}

type notifyPutCmd struct {
	notifyFlags
	File        string        `short:"f" placeholder:"FILE" help:"JSON file with the members of the rule, instead of flags; - is standard input."`
	On          []string      `sep:"," placeholder:"WHAT" help:"What is told: failed, missed, late, unknown, invalid, never_fired, recovered, paused, succeeded; several by commas."`
	Schedule    []string      `sep:"none" placeholder:"NAME" help:"Only schedules of this name, or pattern (*); may be repeated."`
	Tag         []string      `sep:"none" placeholder:"TAG" help:"Only schedules with this tag; may be repeated."`
	Task        []string      `sep:"none" placeholder:"TASK" help:"Only schedules of this task, or pattern (*); may be repeated."`
	Late        time.Duration `placeholder:"DURATION" help:"How late a run may start until it is late."`
	Paused      time.Duration `placeholder:"DURATION" help:"How long a schedule may be paused until that is told."`
	NeverFired  time.Duration `placeholder:"DURATION" help:"How long a schedule may have had no run until that is told."`
	Every       time.Duration `placeholder:"DURATION" help:"At most one notification in that time, in whole minutes; the others are told together, with a count."`
	To          string        `placeholder:"FORM" help:"webhook, slack, http, ping or stream."`
	Destination secret        `name:"notify-url" env:"TACTUS_NOTIFY_URL" placeholder:"URL" help:"Where it is sent; or TACTUS_NOTIFY_URL_FILE, a file with it. A shell keeps what is typed."`
	Method      string        `placeholder:"METHOD" help:"Of the form http: GET, POST, PUT or PATCH."`
	ContentType string        `placeholder:"TYPE" help:"Of the form http."`
	Body        string        `placeholder:"TEXT" help:"Of the form http, with the words {rule}, {count}, {summary}, {what}, {schedule} and {json}."`
	Description string        `help:"What the rule is for."`
	Disabled    bool          `help:"Keep the rule, and tell nobody."`
}

// Run writes a rule.
func (c notifyPutCmd) Run(ctx context.Context, to console) error {
	body, err := c.content()
	if err != nil {
		return err
	}
	return c.ask(ctx, to, http.MethodPut, c.path(), body)
}

func (c notifyPutCmd) content() (any, error) {
	if c.File != "" {
		if len(c.On) > 0 || c.To != "" {
			return nil, usage("give a file, or flags, not both")
		}
		raw, err := readInput(c.File, maxDefinitionFile)
		if err == nil && !json.Valid(raw) {
			err = fmt.Errorf("%s is not JSON", c.File)
		}
		return json.RawMessage(raw), err
	}
	if c.Every%time.Minute != 0 {
		return nil, usage("--every %s: want whole minutes, such as 10m", c.Every)
	}
	body := map[string]any{"on": append([]string{}, c.On...), "to": c.To, "enabled": !c.Disabled}
	for member, value := range map[string]string{
		"url": c.Destination.reveal(), "method": c.Method, "content_type": c.ContentType, "body": c.Body, "description": c.Description,
	} {
		if value != "" {
			body[member] = value
		}
	}
	for member, list := range map[string][]string{"names": c.Schedule, "tags": c.Tag, "tasks": c.Task} {
		if len(list) > 0 {
			body[member] = list
		}
	}
	for member, span := range map[string]time.Duration{
		"late_seconds": c.Late, "paused_seconds": c.Paused, "never_fired_seconds": c.NeverFired,
	} {
		if span != 0 {
			body[member] = int64(span / time.Second)
		}
	}
	if c.Every != 0 {
		body["every_minutes"] = int64(c.Every / time.Minute)
	}
	return body, nil
}

type notifyRotateCmd struct{ notifyFlags }

// Run replaces the secret of a webhook.
func (c notifyRotateCmd) Run(ctx context.Context, to console) error {
	return c.ask(ctx, to, http.MethodPost, c.path()+"/rotate", nil)
}

type notifyTestCmd struct{ notifyFlags }

// Run sends a test. A destination that does not take it is a failure.
func (c notifyTestCmd) Run(ctx context.Context, to console) error {
	answer, err := c.call(ctx, http.MethodPost, c.path()+"/test", nil)
	if err != nil {
		return err
	}
	var tested struct{ Outcome, Error string }
	if err := json.Unmarshal(answer, &tested); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if err := c.show(to.out, answer); err != nil || tested.Outcome == "delivered" {
		return err
	}
	return errReported
}

type notifyDeleteCmd struct{ notifyFlags }

// Run deletes a rule.
func (c notifyDeleteCmd) Run(ctx context.Context, _ console) error {
	_, err := c.call(ctx, http.MethodDelete, c.path(), nil)
	return err
}
