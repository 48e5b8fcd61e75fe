package main

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// definitionFlags define a schedule by flags, by a JSON document, or by both; flags win.
type definitionFlags struct {
	File        string      `short:"f" placeholder:"FILE" help:"File with a definition in JSON; - reads standard input."`
	Name        *string     `help:"Name of the schedule."`
	Description *string     `help:"What the schedule is for."`
	Category    *string     `help:"Category of the schedule."`
	Tag         []string    `help:"Tag; may be repeated."`
	Cron        *string     `placeholder:"EXPRESSION" help:"Trigger: a cron expression."`
	Every       *inSeconds  `placeholder:"LENGTH" help:"Trigger: an interval, in seconds or as in 5m, 1h30m or 1d."`
	At          *comingTime `placeholder:"TIME" help:"Trigger: once, at this time (without an offset, in --tz), on this day, or so long from now (90m)."`
	RRule       *string     `name:"rrule" placeholder:"RULE" help:"Trigger: a recurrence of RFC 5545, such as FREQ=WEEKLY;INTERVAL=2 (lines: DTSTART, RRULE, RDATE, EXDATE)."`
	Preset      *string     `help:"Trigger: the name of a preset."`
	TZ          *string     `name:"tz" placeholder:"ZONE" help:"IANA time zone of the trigger."`
	Dialect     *string     `help:"${cron_dialect}"`
	Exclude     []string    `name:"exclude-calendar" placeholder:"CALENDAR" help:"Calendar on whose days nothing is due; may be repeated."`
	Only        []string    `name:"only-calendar" placeholder:"CALENDAR" help:"Calendar on whose days alone something is due; may be repeated."`
	OnCompleted *string     `placeholder:"HOW" help:"${on_completed}"`
	OnExcluded  *string     `placeholder:"HOW" help:"${on_excluded}"`
	Task        *string     `help:"Name of the task to run."`
	runFlags
	policyFlags
	Stream   *string `help:"Redis stream that runs go to, instead of a queue."`
	Misfire  *string `help:"${misfire_policy}"`
	Disabled *bool   `help:"Create the schedule disabled; of one that is there, --disabled=false enables it."`
}

// runFlags say what a single run may have different from its schedule.
type runFlags struct {
	Args     string     `placeholder:"JSON" help:"Arguments of the task, a JSON list."`
	Kwargs   string     `placeholder:"JSON" help:"Keyword arguments of the task, a JSON object."`
	Queue    *string    `help:"Celery queue that runs go to."`
	Priority *int       `placeholder:"NUMBER" help:"Priority, 0 to 255; on Redis 0 is the highest."`
	Expires  *inSeconds `placeholder:"LENGTH" help:"How long after a run was handed over (not after it was due) no worker starts it any more, in seconds or as in 5m."`
}

// fill adds the members that were given, unchecked: the API reports all their faults at once.
func (f runFlags) fill(members map[string]any) error {
	for name, value := range map[string]string{"args": f.Args, "kwargs": f.Kwargs} {
		if value == "" {
			continue
		}
		if !json.Valid([]byte(value)) {
			return usage(`--%s %q is not JSON: want a list such as '["a", 1]' for args, an object such as '{"a": 1}' for `+
				`kwargs`, name, value)
		}
		members[name] = json.RawMessage(value)
	}
	given(members, map[string]*string{"queue": f.Queue})
	given(members, map[string]*int{"priority": f.Priority})
	given(members, map[string]*inSeconds{"expires_seconds": f.Expires})
	return nil
}

// given adds the members whose flags were given, including those that remove something: 0, false or an empty text.
func given[T any](members map[string]any, flags map[string]*T) {
	for name, value := range flags {
		if value != nil {
			members[name] = *value
		}
	}
}

// definition returns the members that were given, unchecked: the API reports all their faults at once.
func (f definitionFlags) definition() (map[string]any, error) {
	members := map[string]any{}
	if f.File != "" {
		var given map[string]json.RawMessage // keeps numbers as they are written
		if err := readJSON(f.File, &given); err != nil {
			return nil, err
		}
		for name, value := range given {
			members[name] = value
		}
	}
	given(members, map[string]*string{
		"name": f.Name, "description": f.Description, "category": f.Category, "cron_expression": f.Cron, "rrule": f.RRule,
		"preset_name": f.Preset, "timezone": f.TZ, "cron_dialect": f.Dialect, "task_name": f.Task,
		"stream": f.Stream, "misfire_policy": f.Misfire, "on_excluded": f.OnExcluded, "on_completed": f.OnCompleted,
	})
	given(members, map[string]*comingTime{"run_at": f.At})
	if err := f.runFlags.fill(members); err != nil {
		return nil, err
	}
	if err := f.policyFlags.fill(members); err != nil {
		return nil, err
	}
	if f.Every != nil && *f.Every <= 0 {
		return nil, usage("--every %v: want a number of seconds, at least 1; another trigger (--cron, --at) takes the place of an interval", *f.Every)
	}
	given(members, map[string]*inSeconds{"interval_seconds": f.Every})
	for name, list := range map[string][]string{"tags": f.Tag, "exclude_calendars": f.Exclude, "only_calendars": f.Only} {
		if len(list) > 0 {
			members[name] = list
		}
	}
	if f.Disabled != nil {
		members["enabled"] = !*f.Disabled
	}
	return members, nil
}

func readJSON(path string, into any) error {
	raw, err := readInput(path, maxDefinitionFile)
	if err != nil {
		return fmt.Errorf("read definition: %w", err)
	}
	if !bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{")) { // the error does not quote a file that is something else
		return usage("%s: want a JSON object", path)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return usage("%s: want a JSON object: %v", path, err)
	}
	return nil
}
