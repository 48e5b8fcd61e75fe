package importer

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/zone"
	"github.com/tactus-dev/tactus/internal/oldbeat"
)

// Script is a Python program that prints what the beat of a Celery application would do. It runs where the application
// is installed; ParseApplication reads its output.
//
//go:embed beat_schedule.py
var Script string

// Application is what Script printed about a Celery application.
type Application struct {
	Name         string // as given to the script
	Label        string // the name, and the host and the directory where the script ran: two applications may have one name
	Timezone     string // time zone of its beat; empty when the beat uses the zone of its host, which has no name
	DefaultQueue string
	Transport    map[string]json.RawMessage // the transport options of the broker that affect names of keys
	Celery       oldbeat.Release            // empty when an older script has not told it
	// time zone whose local times its beat takes for UTC in adopted rows; UTC when it reads them as they are; empty
	// when that is not known
	NaiveTimezone string
	// whether its serializer writes times as typed values, which workers read as times
	Typed        bool
	Entries      []Entry
	Notes        []string          // remarks about the application as a whole
	Left         []string          // its routers that cannot be imported: functions and regular expressions
	NotAsked     map[string]string // tasks that cannot be sent without arguments, so that their route is not known; why
	tasks        map[string]task   // the message of a task without options, by its name
	patterns     map[string]sent   // the same, by patterns of names
	order        []string          // the patterns in their order; Celery uses the first that matches
	queues       map[string]sent   // where a message goes that names the queue
	makesQueues  bool              // whether Celery creates a queue that is not among them
	rowsTimezone string            // time zone of all crontabs of django-celery-beat; empty when each row has its own
}

// task is the message that the application sends for a task without options, and the ways in which tactus cannot do the
// same.
type task struct {
	sent
	Differences []told     `json:"differences"`
	Signature   *signature `json:"signature"` // nil when it is sent with any arguments
}

// told is a difference that the script reports.
type told struct {
	Kind    string `json:"kind"`
	Message string `json:"message"`
}

// scriptVersion rises when the format of the script's output changes.
const scriptVersion = 6

// scriptOutput is what Script prints.
type scriptOutput struct {
	Version      int                        `json:"version"`
	Name         string                     `json:"application"`
	Notes        []string                   `json:"notes"`
	Host         string                     `json:"host"`
	Directory    string                     `json:"directory"`
	MadeAt       time.Time                  `json:"made_at"`
	Celery       oldbeat.Release            `json:"celery"`
	Timezone     string                     `json:"timezone"`
	Transport    map[string]json.RawMessage `json:"transport"`
	DefaultQueue string                     `json:"default_queue"`
	Typed        bool                       `json:"typed_times"`
	Schedules    boundedList[scriptEntry]   `json:"schedules"`
	Scheduler    string                     `json:"beat_scheduler"`
	Tasks        boundedMap[task]           `json:"tasks"`
	TasksLeft    boundedMap[string]         `json:"tasks_left"`
	Queues       boundedMap[sent]           `json:"queues"`
	MakesQueues  bool                       `json:"creates_queues"`
	RowsTimezone string                     `json:"rows_timezone"`
	Naive        string                     `json:"naive_timezone"`
	Patterns     boundedMap[sent]           `json:"patterns"`
	Order        []string                   `json:"patterns_in_order"`
	Left         []string                   `json:"patterns_left"`
}

// maxCommon is the most bytes of a text that is of the whole application. What is told of each entry may repeat it.
const maxCommon = 1 << 10

// tooLong tells of texts of the whole application that are longer than any real one.
func (o scriptOutput) tooLong() error {
	var faults []error
	for _, text := range [][2]string{
		{"application", o.Name},
		{"host", o.Host},
		{"directory", o.Directory},
		{"timezone", o.Timezone},
		{"rows_timezone", o.RowsTimezone},
		{"naive_timezone", o.Naive},
		{"beat_scheduler", o.Scheduler},
		{"default_queue", o.DefaultQueue},
		{"celery", string(o.Celery)},
	} {
		if member, n := text[0], len(text[1]); n > maxCommon {
			faults = append(faults, fmt.Errorf("%s has %d bytes, and at most %d are read: print the script again "+
				"(--script), and run it again", member, n, maxCommon))
		}
	}
	return errors.Join(faults...)
}

// ParseApplication parses the output of Script.
func ParseApplication(raw []byte) (Application, error) {
	var printed scriptOutput
	if err := json.Unmarshal(withoutMark(raw), &printed); err != nil {
		return Application{}, fmt.Errorf("this is not what the script prints: %w", err)
	}
	if printed.Version != scriptVersion {
		return Application{}, fmt.Errorf(
			"version %d of the script printed this, but tactus reads version %d: print the script again (--script), "+
				"and run it again",
			printed.Version, scriptVersion)
	}
	if err := printed.tooLong(); err != nil {
		return Application{}, err
	}
	a := Application{
		Name: printed.Name, Label: printed.Name, Timezone: ianaZone(printed.Timezone),
		DefaultQueue: printed.DefaultQueue, Transport: printed.Transport, Celery: printed.Celery, Typed: printed.Typed, Notes: printed.Notes,
		Left: printed.Left, NotAsked: printed.TasksLeft, tasks: printed.Tasks, patterns: printed.Patterns,
		order: printed.Order, queues: printed.Queues,
		makesQueues: printed.MakesQueues, rowsTimezone: ianaZone(printed.RowsTimezone),
	}
	if _, err := zone.Load(zone.Link(printed.Naive)); err == nil {
		a.NaiveTimezone = zone.Link(printed.Naive)
	}
	if printed.Host != "" {
		a.Label += originMark + printed.Host + ":" + printed.Directory
	}
	for _, s := range printed.Schedules {
		s.Timezone = ianaZone(s.Timezone)
		e := s.entry(printed.MadeAt)
		if !keepsNothing(printed.Scheduler) {
			e.differ("scheduler", "the application's beat is "+printed.Scheduler+", which keeps its schedules "+
				"itself, and this entry among them: "+
				"adopt its tables or import from RedBeat; imported from both it would run twice")
		}
		a.Entries = append(a.Entries, e)
	}
	return a, nil
}

// Names returns the name that other applications may have too, if there is one.
func (a Application) Names() []string {
	if a.Name == "" {
		return nil
	}
	return []string{a.Name}
}

// keepsNothing reports whether a beat has only the application's beat_schedule, and stores no schedules itself.
func keepsNothing(scheduler string) bool {
	return scheduler == "" || strings.HasPrefix(scheduler, "celery.beat:") ||
		strings.HasPrefix(scheduler, "celery.beat.") || strings.HasPrefix(scheduler, "<class 'celery.beat.")
}

// In returns the entries. With a timezone all crontabs are in that zone; otherwise each is in its own, and an entry
// whose zone is not known is refused.
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

// ianaZone returns the name of a fixed offset that has one, such as Etc/GMT-9 for +09:00, and any other name as it is.
func ianaZone(name string) string {
	if minutes, fixed := offsetOf(name); fixed {
		if named, ok := fixedZone(minutes); ok {
			return named
		}
	}
	return name
}

// offsetOf returns the minutes of a fixed offset, such as +09:00.
func offsetOf(name string) (minutes float64, fixed bool) {
	at, err := time.Parse("-07:00", name)
	if err != nil {
		return 0, false
	}
	_, seconds := at.Zone()
	return float64(seconds) / 60, true
}

// zoneFault returns why a zone of the application cannot be used and what to do about it, or an empty text when it can.
func zoneFault(name string) string {
	if name == "" {
		return "the application uses its host's time zone, which has no name there: name the zone by --celery-timezone"
	}
	if _, err := zone.Load(name); err == nil {
		return ""
	}
	if _, fixed := offsetOf(name); fixed {
		return fmt.Sprintf("its time zone is the fixed offset %s, which has no name: name a zone with the same clocks "+
			"by --celery-timezone", name)
	}
	if same := zone.Link(name); same != name {
		return fmt.Sprintf("the application's time zone is %s, an abbreviation: use --celery-timezone %s, which has "+
			"the same clocks", name, same)
	}
	return fmt.Sprintf("the application's time zone is %s, which is not known here: name a zone with the same "+
		"clocks by --celery-timezone", name)
}

// Zone returns the application's time zone, or an empty text when tactus does not know that zone.
func (a Application) Zone() string {
	if zoneFault(a.Timezone) != "" {
		return ""
	}
	return a.Timezone
}

// Route gives an entry the options with which the application would send its task, where the entry names none, and no
// others: routes no longer concern it. unknown is the reason when they are not known.
func (a Application) Route(e *Entry) (unknown string) {
	known, registered := a.tasks[e.Definition.TaskName]
	if !registered {
		known.sent, unknown = a.unregistered(e.Definition.TaskName)
	}
	if unknown == "" {
		known.route(&e.Definition)
		if e.Definition.Headers == nil {
			e.Definition.Headers = known.Headers // those of the entry take the place of all that a route gives
		}
		e.Definition.IgnoreRoutes = true
	}
	if why := a.misfit(e.Definition); why != "" {
		e.refuse("unsendable: Celery itself does not send %s with these arguments (%s): correct the entry",
			e.Definition.TaskName, why)
	}
	for _, d := range known.Differences {
		e.differ(d.Kind, d.Message)
	}
	return unknown
}

// looksAtArguments returns why it is not known where a task with arguments goes: a function may route by them. It
// returns an empty text when no function can.
func (a Application) looksAtArguments(d domain.Definition) string {
	none := func(raw json.RawMessage) bool {
		text := compact(string(raw))
		return text == "" || text == "[]" || text == "{}" || text == "null"
	}
	if len(a.Left) == 0 || none(d.Args) && none(d.Kwargs) {
		return ""
	}
	return "its router " + strings.Join(a.Left, ", ") +
		" may look at the arguments, and was asked without them: name the queue"
}

// Settings returns the settings with which tactus uses the same keys as the application's workers, by name.
func (a Application) Settings() map[string]string {
	settings := map[string]string{}
	for option, name := range map[string]string{
		"global_keyprefix": "TACTUS_CELERY_KEY_PREFIX", "sep": "TACTUS_CELERY_PRIORITY_SEPARATOR",
		"priority_steps": "TACTUS_CELERY_PRIORITY_STEPS",
	} {
		if raw, said := a.Transport[option]; said {
			settings[name] = plain(raw)
		}
	}
	return settings
}

// plain returns a text, or a list of numbers, in the form of an environment variable.
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

// scriptEntry is an entry of beat_schedule, with what Celery itself says about it.
type scriptEntry struct {
	Name        string       `json:"name"`
	Task        string       `json:"task"`
	Schedule    beatSchedule `json:"schedule"`
	Timezone    string       `json:"timezone"`
	LastRun     time.Time    `json:"last_run_at"` // of an interval, by the old beat's file; zero when not known
	Due         []time.Time  `json:"due"`
	Until       time.Time    `json:"due_until"` // until when due has all instants
	Changes     []stretch    `json:"changes"`
	Message     *sent        `json:"message"`
	Differences []told       `json:"differences"`
	Notes       []string     `json:"notes"`
	Refused     string       `json:"refused"`
}

func (s scriptEntry) entry(madeAt time.Time) Entry {
	e := Entry{Definition: domain.Definition{Name: s.Name, TaskName: s.Task}, Refused: s.Refused, Notes: s.Notes}
	s.Schedule.into(&e, s.LastRun)
	if s.Message == nil {
		return e
	}
	for field, text := range map[string]string{"/args": s.Message.Args, "/kwargs": s.Message.Kwargs} {
		if !json.Valid([]byte(text)) {
			e.refuse("value_unreadable at %s: %s is not JSON, which has neither NaN nor Infinity: give null, or a text",
				field, shorten(text))
		}
	}
	s.Message.into(&e.Definition)
	if e.Definition.CronExpression != "" {
		e.Definition.Timezone = s.Timezone
	}
	e.expected = &expected{
		next: stretch{From: madeAt, Until: s.Until, Due: s.Due}, changes: s.Changes, relative: s.Schedule.Relative,
		timezone: s.Timezone, sent: *s.Message,
	}
	if s.Schedule.Relative && len(s.Due) > 0 {
		e.Definition.IntervalAnchor = s.Due[0].UTC().Format(time.RFC3339Nano)
	}
	for _, d := range s.Differences {
		e.differ(d.Kind, d.Message)
	}
	return e
}

// beatSchedule is the schedule of an entry of Celery's beat, in the JSON form that RedBeat stores.
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

// UnmarshalJSON also accepts a bare number, as Celery does: an interval in seconds.
func (s *beatSchedule) UnmarshalJSON(raw []byte) error {
	type plain beatSchedule
	var every float64
	if json.Unmarshal(raw, &every) == nil {
		*s = beatSchedule{Type: "interval", Every: every}
		return nil
	}
	return json.Unmarshal(raw, (*plain)(s))
}

// into sets the trigger of an entry. An interval continues from its last run; a relative one stays on round times of
// the clock.
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
			d.IntervalAnchor = time.Unix(0, 0).UTC().Format(time.RFC3339) // replaced when Celery itself says when
		case !lastRun.IsZero():
			d.IntervalAnchor, e.continued = lastRun.UTC().Format(time.RFC3339Nano), true
		}
	case "rrule":
		if why := s.rule.into(d); why != "" {
			e.refuse("trigger_unsupported at /schedule: the rule cannot be imported, because %s: use a crontab or "+
				"an interval", why)
		} else if s.Offset != 0 {
			e.Notes = append(e.Notes, fmt.Sprintf(
				"RedBeat keeps its offset of %g minutes for ever: set timezone where the clocks change", s.Offset))
		}
	default:
		e.refuse("trigger_unsupported at /schedule: %q schedules cannot be imported: use a crontab or an interval",
			s.Type)
	}
}

// refuse marks an entry as refused. The first reason stays.
func (e *Entry) refuse(format string, args ...any) {
	if e.Refused == "" {
		e.Refused = fmt.Sprintf(format, args...)
	}
}

// field returns a field of a crontab, which is a text, a number, or a list of numbers. A field that is absent is "*".
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

// sortedKeys returns the names of a map's members in order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
