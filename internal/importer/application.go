package importer

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/zone"
)

// Script prints what the beat of a Celery application would do, for ParseApplication. It is run where the application is.
//
//go:embed beat_schedule.py
var Script string

// Application is what Script printed of a Celery application.
type Application struct {
	Name         string // as it was given to the script
	Timezone     string // of its beat; empty when that has no name, as the zone of a host has none
	DefaultQueue string
	Transport    map[string]json.RawMessage // those options of the broker that name keys
	Typed        bool                       // its serializer writes times as typed values, which workers read as times
	Entries      []Entry
	Left         []string          // what routes tasks there and cannot be brought in: functions, regular expressions
	NotAsked     map[string]string // tasks whose way is not known, and why: a router wants to see arguments
	tasks        map[string]task   // what is sent of a task without options, by its name
	patterns     map[string]sent   // the same, by patterns of names
	order        []string          // of the patterns: the first that matches counts
	queues       map[string]sent   // where a message goes that names one of its queues
	makesQueues  bool              // a queue that is not among them is made
	rowsTimezone string            // of all crontabs in tables of django-celery-beat; empty when each has its own
}

// task is what the application sends of a task without options, and in which ways nothing here does.
type task struct {
	sent
	Differences []told `json:"differences"`
}

// told is a difference of which the script knows.
type told struct {
	Kind    string `json:"kind"`
	Message string `json:"message"`
}

// scriptVersion is raised when what the script prints is read in another way.
const scriptVersion = 4

// ParseApplication reads what Script printed.
func ParseApplication(raw []byte) (Application, error) {
	var printed struct {
		Version      int                        `json:"version"`
		Name         string                     `json:"application"`
		MadeAt       time.Time                  `json:"made_at"`
		Timezone     string                     `json:"timezone"`
		Transport    map[string]json.RawMessage `json:"transport"`
		DefaultQueue string                     `json:"default_queue"`
		Typed        bool                       `json:"typed_times"`
		Schedules    []scriptEntry              `json:"schedules"`
		Scheduler    string                     `json:"beat_scheduler"`
		Tasks        map[string]task            `json:"tasks"`
		TasksLeft    map[string]string          `json:"tasks_left"`
		Queues       map[string]sent            `json:"queues"`
		MakesQueues  bool                       `json:"creates_queues"`
		RowsTimezone string                     `json:"rows_timezone"`
		Patterns     map[string]sent            `json:"patterns"`
		Order        []string                   `json:"patterns_in_order"`
		Left         []string                   `json:"patterns_left"`
	}
	if err := json.Unmarshal(withoutMark(raw), &printed); err != nil {
		return Application{}, fmt.Errorf("this is not what the script prints: %w", err)
	}
	if printed.Version != scriptVersion {
		return Application{}, fmt.Errorf("version %d of the script printed this, and %d is read here: take the script of this tactus (--script), and run it again",
			printed.Version, scriptVersion)
	}
	a := Application{
		Name: printed.Name, Timezone: printed.Timezone, DefaultQueue: printed.DefaultQueue, Transport: printed.Transport, Typed: printed.Typed,
		Left: printed.Left, NotAsked: printed.TasksLeft, tasks: printed.Tasks, patterns: printed.Patterns, order: printed.Order, queues: printed.Queues,
		makesQueues: printed.MakesQueues, rowsTimezone: printed.RowsTimezone,
	}
	for _, s := range printed.Schedules {
		e := s.entry(printed.MadeAt)
		if !keepsNothing(printed.Scheduler) {
			e.differ("scheduler", "the application's beat is "+printed.Scheduler+", which keeps its schedules itself, and this entry among them: "+
				"adopt its tables or import from RedBeat; brought in from both it would run twice")
		}
		a.Entries = append(a.Entries, e)
	}
	return a, nil
}

// keepsNothing reports whether a beat goes by the application's beat_schedule alone.
func keepsNothing(scheduler string) bool {
	return scheduler == "" || strings.HasPrefix(scheduler, "celery.beat:") || strings.HasPrefix(scheduler, "celery.beat.") || strings.HasPrefix(scheduler, "<class 'celery.beat.")
}

// In are the entries, in one zone, whatever is said there; or each in its own when no zone is given.
func (a Application) In(timezone string) []Entry {
	entries := slices.Clone(a.Entries)
	for i := range entries {
		switch d := &entries[i].Definition; {
		case d.CronExpression == "":
		case timezone != "":
			d.Timezone = timezone
		default:
			if fault := zoneFault(d.Timezone); fault != "" {
				entries[i].refuse("timezone_unknown at /timezone: %s", fault)
			}
		}
	}
	return entries
}

// zoneFault tells why a zone of the application cannot be taken, and what to say instead; empty when it can.
func zoneFault(name string) string {
	if name == "" {
		return "the application goes by its host's zone, which has no name there: say which by --celery-timezone"
	}
	if _, err := zone.Load(name); err == nil {
		return ""
	}
	if same := zone.Link(name); same != name {
		return fmt.Sprintf("the application's zone is %s, an abbreviation: say --celery-timezone %s, which has its clocks", name, same)
	}
	return fmt.Sprintf("the application's zone is %s, which is not known here: say by --celery-timezone which zone has its clocks", name)
}

// Zone is the application's, if it is known here; else empty.
func (a Application) Zone() string {
	if zoneFault(a.Timezone) != "" {
		return ""
	}
	return a.Timezone
}

// Route gives an entry that names no queue the options with which the application would send its task. unknown tells why
// they are not known.
func (a Application) Route(e *Entry) (unknown string) {
	known, registered := a.tasks[e.Definition.TaskName]
	if !registered {
		known.sent, unknown = a.unregistered(e.Definition.TaskName)
	}
	if unknown == "" {
		known.route(&e.Definition)
	}
	for _, d := range known.Differences {
		e.differ(d.Kind, d.Message)
	}
	return unknown
}

// looksAtArguments tells why it is not known where a task with arguments goes, as a function may route by them; empty when it is.
func (a Application) looksAtArguments(d domain.Definition) string {
	none := func(raw json.RawMessage) bool {
		text := compact(string(raw))
		return text == "" || text == "[]" || text == "{}" || text == "null"
	}
	if len(a.Left) == 0 || none(d.Args) && none(d.Kwargs) {
		return ""
	}
	return "its router " + strings.Join(a.Left, ", ") + " may look at the arguments, and was asked without them: name the queue"
}

// Settings are what tactus has to be told so that its keys are those of the application's workers, by the names of the
// settings.
func (a Application) Settings() map[string]string {
	settings := map[string]string{}
	for option, name := range map[string]string{
		"global_keyprefix": "TACTUS_CELERY_KEY_PREFIX", "sep": "TACTUS_CELERY_PRIORITY_SEPARATOR", "priority_steps": "TACTUS_CELERY_PRIORITY_STEPS",
	} {
		if raw, said := a.Transport[option]; said {
			settings[name] = plain(raw)
		}
	}
	return settings
}

// plain is a text, or a list of numbers, as an environment variable has it.
func plain(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("[] \t\r\n", r) {
			return -1
		}
		return r
	}, string(raw))
}

// scriptEntry is an entry of beat_schedule, with what Celery itself said of it.
type scriptEntry struct {
	Name        string       `json:"name"`
	Task        string       `json:"task"`
	Schedule    beatSchedule `json:"schedule"`
	Timezone    string       `json:"timezone"`
	Due         []time.Time  `json:"due"`
	Changes     []stretch    `json:"changes"`
	Message     *sent        `json:"message"`
	Differences []told       `json:"differences"`
	Refused     string       `json:"refused"`
}

func (s scriptEntry) entry(madeAt time.Time) Entry {
	e := Entry{Definition: domain.Definition{Name: s.Name, TaskName: s.Task}, Refused: s.Refused}
	s.Schedule.into(&e, time.Time{})
	if s.Message == nil {
		return e
	}
	for field, text := range map[string]string{"/args": s.Message.Args, "/kwargs": s.Message.Kwargs} {
		if !json.Valid([]byte(text)) {
			e.refuse("value_unreadable at %s: %s is not JSON, which has neither NaN nor Infinity: give null, or a text", field, text)
		}
	}
	s.Message.into(&e.Definition)
	if e.Definition.CronExpression != "" {
		e.Definition.Timezone = s.Timezone
	}
	e.expected = &expected{
		next: stretch{From: madeAt, Due: s.Due}, changes: s.Changes, relative: s.Schedule.Relative, timezone: s.Timezone, sent: *s.Message,
	}
	if s.Schedule.Relative && len(s.Due) > 0 {
		e.Definition.IntervalAnchor = s.Due[0].UTC().Format(time.RFC3339Nano)
	}
	for _, d := range s.Differences {
		e.differ(d.Kind, d.Message)
	}
	return e
}

// beatSchedule is the schedule of an entry of Celery's beat, in the JSON that RedBeat keeps.
type beatSchedule struct {
	Type       string          `json:"__type__"`
	Every      float64         `json:"every"`
	Relative   bool            `json:"relative"`
	Minute     json.RawMessage `json:"minute"`
	Hour       json.RawMessage `json:"hour"`
	DayOfWeek  json.RawMessage `json:"day_of_week"`
	DayOfMonth json.RawMessage `json:"day_of_month"`
	Month      json.RawMessage `json:"month_of_year"`
	rule
}

// UnmarshalJSON takes a bare number for an interval of so many seconds, as Celery does.
func (s *beatSchedule) UnmarshalJSON(raw []byte) error {
	type plain beatSchedule
	var every float64
	if json.Unmarshal(raw, &every) == nil {
		*s = beatSchedule{Type: "interval", Every: every}
		return nil
	}
	return json.Unmarshal(raw, (*plain)(s))
}

// into gives an entry its trigger. An interval goes on from its last run; one that is relative keeps to the clock.
func (s beatSchedule) into(e *Entry, lastRun time.Time) {
	d := &e.Definition
	switch s.Type {
	case "crontab":
		fields := []string{field(s.Minute), field(s.Hour), field(s.DayOfMonth), field(s.Month), field(s.DayOfWeek)}
		d.CronExpression = strings.Join(fields, " ")
		e.Typed = d.CronExpression
	case "interval":
		d.IntervalSeconds = s.Every
		switch {
		case s.Relative:
			d.IntervalAnchor = time.Unix(0, 0).UTC().Format(time.RFC3339) // unless Celery itself says when
		case !lastRun.IsZero():
			d.IntervalAnchor = lastRun.UTC().Format(time.RFC3339Nano)
		}
	case "rrule":
		if why := s.rule.into(d); why != "" {
			e.refuse("trigger_unsupported at /schedule: the rule cannot be brought in, because %s: use a crontab or an interval", why)
		} else if s.Offset != 0 {
			e.Notes = append(e.Notes, fmt.Sprintf("RedBeat keeps its offset of %g minutes for ever: set timezone where the clocks change", s.Offset))
		}
	default:
		e.refuse("trigger_unsupported at /schedule: %q schedules cannot be brought in: use a crontab or an interval", s.Type)
	}
}

// refuse keeps the first reason.
func (e *Entry) refuse(format string, args ...any) {
	if e.Refused == "" {
		e.Refused = fmt.Sprintf(format, args...)
	}
}

// field is a field of a crontab: a text, a number, or a list of numbers; absent, it is any.
func field(raw json.RawMessage) string {
	var value any
	if json.Unmarshal(raw, &value) != nil || value == nil {
		return "*"
	}
	list, ok := value.([]any)
	if !ok {
		list = []any{value}
	}
	texts := make([]string, len(list))
	for i, v := range list {
		texts[i] = strings.ReplaceAll(fmt.Sprint(v), " ", "")
	}
	return strings.Join(texts, ",")
}

// sortedKeys are the names of a map's members, in their order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
