package pages

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/zone"
)

// A form is a definition as people type it: a text for each member. Members without a field, such as headers, keep
// their stored values.

// input is a field of the form.
type input struct {
	Name, Label, Kind string // Kind: text, number, area, json, choice, names (of calendars) or tick
	Trigger           string // the kind of trigger that it belongs to; empty for all kinds
	Choices           []string
	Example           string
	List              string // the list of suggestions
}

// field returns an input for text. The template translates its label.
func field(label, name string) input { return input{Name: name, Label: label, Kind: "text"} }

func (i input) of(trigger string) input       { i.Trigger = trigger; return i }
func (i input) as(kind string) input          { i.Kind = kind; return i }
func (i input) like(example string) input     { i.Example = example; return i }
func (i input) among(choices ...string) input { i.Kind, i.Choices = "choice", choices; return i }
func (i input) suggested(from string) input   { i.List = from; return i }
func (g group) with(inputs ...input) group    { g.Inputs = inputs; return g }
func titled(title string) group               { return group{Title: title} }
func (g group) behind(summary string) group   { g.Summary = summary; return g }
func presetNames() (names []string)           { return namesOf(domain.Presets) }
func namesOf(all []domain.Preset) (n []string) {
	for _, p := range all {
		n = append(n, p.Name)
	}
	return n
}

// group is a set of fields under a title. A group with a summary is folded unless one of its fields is filled in.
type group struct {
	Title, Summary string
	Inputs         []input
}

// triggerFields are the kinds of triggers, each with its fields.
var triggerFields = []struct{ Kind, Label, Member string }{
	{"cron", "by a cron expression", "cron_expression"},
	{"preset", "by a preset", "preset_name"},
	{"every", "every so many seconds", "interval_seconds"},
	{"once", "once", "run_at"},
	{"rrule", "by a recurrence (RFC 5545)", "rrule"},
}

var groups = []group{
	titled("Name").with(
		field("name", "name").like("daily-report"), field("description", "description"), field("tags, separated by commas", "tags").like("reports, finance"), field("category", "category"),
		field("enabled", "enabled").as("tick"),
	),
	titled("When").with(
		field("cron expression", "cron_expression").of("cron").like("30 9 * * 1-5"), field("dialect", "cron_dialect").of("cron").among("", "celery", "vixie", "quartz", "aws"),
		field("with leading seconds", "cron_seconds").of("cron").as("tick"),
		field("preset", "preset_name").of("preset").among(append([]string{""}, presetNames()...)...),
		field("every so many seconds", "interval_seconds").of("every").as("number").like("900"), field("counted from", "interval_anchor").of("every").like("2026-01-01T00:00:00"),
		field("at", "run_at").of("once").like("2026-12-24T18:00:00"),
		field("recurrence", "rrule").of("rrule").as("area").like("DTSTART:20260105T093000\nRRULE:FREQ=WEEKLY;INTERVAL=2"),
		field("time zone", "timezone").suggested("zones").like("Asia/Tokyo"),
	),
	titled("When").behind("Calendars: on which days").with(
		field("not on the days of", "exclude_calendars").as("names"), field("only on the days of", "only_calendars").as("names"),
		field("what is excluded", "on_excluded").among("", "skip", "next_allowed", "previous_allowed", "drop_if_taken"),
	),
	titled("When").behind("Limits, and what the clocks do").with(
		field("not before", "starts_at").like("2026-01-01T00:00:00"), field("not after", "ends_at"), field("at most so many runs", "max_runs").as("number"),
		field("jitter, in seconds", "jitter_seconds").as("number"),
		field("spread, in seconds", "spread_seconds").as("number").like("3600"),
		field("times that the clocks skip", "dst_gap").among("", "auto", "run_after", "skip"), field("times that the clocks show twice", "dst_overlap").among("", "auto", "first", "second", "both"),
		field("once it can fire no more", "on_completed").among("", "keep", "delete"),
	),
	titled("What").with(
		field("task", "task_name").like("app.report"), field("args, a list", "args").as("json").like("[]"), field("kwargs, an object", "kwargs").as("json").like("{}"),
		field("queue", "queue").like("celery"),
	),
	titled("What").behind("Where else, and how long").with(
		field("priority", "priority").as("number"), field("stream", "stream"), field("expires after seconds", "expires_seconds").as("number"),
		field("time limit, in seconds", "time_limit_seconds").as("number"), field("soft time limit, in seconds", "soft_time_limit_seconds").as("number"),
		field("exchange", "exchange"), field("routing key", "routing_key"), field("headers, an object", "headers").as("json").like("{}"), field("shown to workers as", "shadow"),
		field("workers keep no result", "ignore_result").as("tick"), field("take nothing from the route of the task", "ignore_routes").as("tick"),
	),
	titled("What").behind("When it is late, or runs still").with(
		field("runs that overlap", "execution_policy").among("", "allow", "skip", "queue"), field("missed due times", "misfire_policy").among("", "latest", "all", "none"),
		field("late is missed after seconds", "misfire_grace_seconds").as("number").like("60"), field("missed is caught up for seconds", "misfire_window_seconds").as("number").like("86400"),
	),
}

// optionWords has the text of each option, by field and value.
var optionWords = map[string]string{
	"on_excluded/skip":             "skip: it is recorded as excluded",
	"on_excluded/next_allowed":     "next_allowed: on the next day that is allowed",
	"on_excluded/previous_allowed": "previous_allowed: on the day before that is allowed",
	"on_excluded/drop_if_taken":    "drop_if_taken: on the next day, unless something is due then",
	"execution_policy/allow":       "allow: side by side",
	"execution_policy/skip":        "skip: the later one is skipped",
	"execution_policy/queue":       "queue: one after the other",
	"misfire_policy/latest":        "latest: only the newest runs",
	"misfire_policy/all":           "all: every one runs",
	"misfire_policy/none":          "none: they are recorded as missed",
	"dst_gap/run_after":            "run_after: as soon as there is a time again",
	"dst_gap/skip":                 "skip: not that day",
	"dst_overlap/first":            "first: the first time",
	"dst_overlap/second":           "second: the second time",
	"dst_overlap/both":             "both: twice",
	"on_completed/keep":            "keep: it stays in the list",
	"on_completed/delete":          "delete: it is deleted some time after",
}

// Option returns the text of an option.
func (d editData) Option(field, value string) string {
	if text, ok := optionWords[field+"/"+value]; ok {
		return translate(d.lang, text)
	}
	return value
}

// mostTicks is up to how many calendars the form shows check boxes; if there are more, names are typed.
const mostTicks = 40

// Ticks returns the check boxes for a field of calendars, or none if names are to be typed.
func (d editData) Ticks(field string) (all []choice) {
	has := namesIn(d.Values[field])
	for _, name := range d.Calendars {
		all = append(all, choice{name, name, slices.Contains(has, name)})
	}
	for _, name := range has { // a calendar that was deleted, or is not among the suggestions
		if !slices.Contains(d.Calendars, name) {
			all = append(all, choice{name, name, true})
		}
	}
	if len(d.Calendars) == 0 || len(all) > mostTicks {
		return nil
	}
	return all
}

// namesIn returns the names that are in some fields, each once.
func namesIn(values []string) []string { return tagsOf(strings.Join(values, ",")) }

// formOf returns the texts of a form for a stored definition.
func formOf(d domain.Definition) url.Values {
	raw, err := json.Marshal(d)
	if err != nil {
		return url.Values{} // it was read from JSON
	}
	all, values := members(raw), url.Values{}
	for _, i := range inputs() {
		switch value := all[i.Name]; {
		case value == nil:
		case i.Name == "tags":
			values.Set(i.Name, strings.Join(d.Tags, ", "))
		case i.Kind == "names":
			var names []string
			_ = json.Unmarshal(value, &names) // it is the JSON of a list of names
			values.Set(i.Name, strings.Join(names, ", "))
		case i.Kind == "tick":
			if string(value) == "true" {
				values.Set(i.Name, "on")
			}
		case i.Kind == "json":
			values.Set(i.Name, pretty(value))
		default:
			values.Set(i.Name, text(value))
		}
	}
	if d.IsEnabled() {
		values.Set("enabled", "on")
	}
	values.Set("when", kindOf(values))
	return values
}

func inputs() (all []input) {
	for _, g := range groups {
		all = append(all, g.Inputs...)
	}
	return all
}

func kindOf(values url.Values) string {
	for _, t := range triggerFields {
		if values.Get(t.Member) != "" {
			return t.Kind
		}
	}
	return "cron"
}

// overlay returns a stored definition as JSON, with what was typed in place of its members. The faults are texts that
// are not valid JSON.
func overlay(stored domain.Definition, typed url.Values) (raw []byte, faults domain.Faults) {
	base, err := json.Marshal(stored)
	all := members(base)
	if err != nil || all == nil {
		all = map[string]json.RawMessage{}
	}
	for _, i := range inputs() {
		delete(all, i.Name)
		value := strings.TrimSpace(strings.ReplaceAll(typed.Get(i.Name), "\r\n", "\n"))
		if i.Trigger != "" && i.Trigger != typed.Get("when") {
			continue
		}
		switch {
		case i.Kind == "tick":
			if value != "" || i.Name == "enabled" {
				all[i.Name] = json.RawMessage(fmt.Sprint(value != ""))
			}
		case i.Kind == "names":
			if names := namesIn(typed[i.Name]); len(names) > 0 {
				all[i.Name] = encoded(names)
			}
		case value == "":
		case i.Name == "tags":
			all[i.Name] = encoded(tagsOf(value))
		default:
			faults = i.put(all, value, faults)
		}
	}
	return encoded(all), faults
}

// put adds the text of an input to a document. If the text has to be JSON and is not, put adds a fault instead.
func (i input) put(all map[string]json.RawMessage, value string, faults domain.Faults) domain.Faults {
	switch {
	case i.Kind == "json":
		if fault := notJSON(i.Name, value); fault != nil {
			return append(faults, fault)
		}
		all[i.Name] = json.RawMessage(value)
	case i.Kind == "number" && json.Valid([]byte(value)):
		all[i.Name] = json.RawMessage(value)
	default:
		all[i.Name] = encoded(value)
	}
	return faults
}

func encoded(value any) json.RawMessage {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	_ = e.Encode(value) // strings and valid JSON do not fail
	return bytes.TrimSpace(out.Bytes())
}

func tagsOf(text string) (tags []string) {
	for tag := range strings.SplitSeq(text, ",") {
		if tag = strings.TrimSpace(tag); tag != "" && !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
	}
	return tags
}

// notJSON returns the fault of a text that is not JSON, with the place where it goes wrong.
func notJSON(name, text string) *domain.Error {
	var value any
	err := json.Unmarshal([]byte(text), &value)
	if err == nil {
		return nil
	}
	message := err.Error()
	if syntax, ok := err.(*json.SyntaxError); ok {
		before := text[:min(int(syntax.Offset), len(text))]
		message = fmt.Sprintf("line %d: %s", strings.Count(before, "\n")+1, message)
	}
	return &domain.Error{Kind: domain.Invalid, Code: "type_invalid", Field: "/" + name, Message: message}
}

// zoneNames are the suggestions for a time zone.
var zoneNames = zone.Names()
