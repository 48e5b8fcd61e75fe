package domain

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tactus-dev/tactus/domain/calendar"
)

// Calendar is a named set of days and ranges, by which schedules may be kept from firing.
type Calendar struct {
	ID          ID              `json:"id" readOnly:"true"`
	Name        string          `json:"name,omitempty" doc:"Letters, digits, dots, hyphens and underscores; at most 100."`
	Version     int64           `json:"version" readOnly:"true"`
	Description string          `json:"description,omitempty"`
	Source      *string         `json:"source,omitempty" doc:"The files that it comes from, as tactus apply --source names them: they may prune it. It stays as it is unless given; empty for none."`
	Days        []calendar.Item `json:"days" doc:"Days, such as 2027-01-01, and ranges: {from, to, reason, rrule}."`
	CreatedAt   time.Time       `json:"created_at,omitzero" readOnly:"true"`
	UpdatedAt   time.Time       `json:"updated_at,omitzero" readOnly:"true"`
	DeletedAt   time.Time       `json:"deleted_at,omitzero" readOnly:"true"`

	Unreadable string `json:"-"` // why its days cannot be read: only a hand can have written them
}

// The types of events of calendars.
const (
	CalendarUpdated EventType = "calendar.updated"
	CalendarDeleted EventType = "calendar.deleted"
)

// OfCalendar reports whether an event is of a calendar, and not of a schedule.
func (t EventType) OfCalendar() bool { return t == CalendarUpdated || t == CalendarDeleted }

// Errors about calendars, for comparison with errors.Is.
var (
	ErrCalendarNotFound = &Error{Kind: NotFound, Code: "not_found", Message: "there is no such calendar"}
	ErrCalendarInUse    = &Error{Kind: Conflict, Code: "calendar_in_use", Message: "schedules use the calendar: take it out of them first"}
	ErrCalendarLocked   = &Error{Kind: Conflict, Code: "calendar_locked", Message: "another transaction has locked the calendar: try again"}
	ErrCalendarStale    = &Error{Kind: Stale, Code: "version_conflict", Message: "the calendar has changed since it was read: read it again and repeat the change"}
)

// calendarName is what a calendar may be called: its name stands in addresses, and in texts that SQL searches.
var calendarName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

const calendarNameWanted = "want letters, digits, dots, hyphens and underscores, at most 100, a letter or digit first"

// calendarMembers are what a body about a calendar may say.
type calendarMembers struct {
	Calendar
	ICS *string
}

// DecodeCalendar decodes and checks a calendar of the given name: its days, or an iCalendar file that has them. The
// error is Faults.
func DecodeCalendar(name string, raw []byte) (Calendar, error) {
	given, err := object(raw)
	if err != nil {
		return Calendar{}, err
	}
	var m calendarMembers
	var faults Faults
	for member, into := range map[string]any{
		"name": &m.Name, "description": &m.Description, "source": &m.Source, "days": &m.Days, "ics": &m.ICS,
	} {
		text, there := given[member]
		delete(given, member)
		if !there {
			continue
		}
		if member == "days" {
			m.Days = faults.items(text)
		} else if err := json.Unmarshal(text, into); err != nil || halfPair(text) {
			faults.add("type_invalid", "/"+member, "want a string")
		}
	}
	for member := range given {
		if !slices.Contains(calendarReadOnly, member) {
			faults.add("unknown_field", "/"+member,
				"there is no such member: a calendar has name, description, source, and days or ics")
		}
	}
	if m.Name != "" && m.Name != name {
		faults.add("calendar_name_invalid", "/name", "the address says %q, the body %q: leave it out of the body", name, m.Name)
	}
	m.Name = name
	m.fromICS(&faults)
	if err := m.Check(); err != nil {
		faults = append(faults, FaultsOf(err)...)
	}
	slices.SortStableFunc(faults, func(a, b *Error) int { return strings.Compare(a.Field, b.Field) })
	return m.Calendar, faults[:min(len(faults), MaxFaults)].err()
}

// calendarReadOnly are members that an answer has, and a request may carry back. They are ignored.
var calendarReadOnly = []string{"id", "version", "created_at", "updated_at", "deleted_at", "size", "next", "used_by"}

// maxSource is how many characters a source has at most: with source: before it, it is a tag of schedules.
const maxSource = 190

// source adds the fault of what is no name of a source.
func (f *Faults) source(name *string) {
	if name != nil && (utf8.RuneCountInString(*name) > maxSource || strings.ContainsFunc(*name, unicode.IsControl)) {
		f.add("text_invalid", "/source", "want at most %d characters, none of them a control character", maxSource)
	}
}

// CheckSource returns what is wrong with the name of a source, as Faults.
func CheckSource(name *string) error {
	var faults Faults
	faults.source(name)
	return faults.err()
}

// items decodes days one by one, so that each that is none is told.
func (f *Faults) items(raw json.RawMessage) (items []calendar.Item) {
	var all []json.RawMessage
	if err := json.Unmarshal(raw, &all); err != nil {
		f.add("type_invalid", "/days", "want a list of days and ranges")
		return []calendar.Item{}
	}
	if all == nil { // null is no list
		return nil
	}
	items = make([]calendar.Item, 0, len(all))
	for n, one := range all {
		var i calendar.Item
		if err := i.UnmarshalJSON(one); err != nil || halfPair(one) {
			f.add("type_invalid", fmt.Sprintf("/days/%d", n), `want a day such as "2027-01-01", or {"from", "to", "reason", "rrule", "timezone"}`)
			i.From = "1970-01-01" // it is told
		}
		items = append(items, i)
	}
	return items
}

func (m *calendarMembers) fromICS(faults *Faults) {
	if m.ICS == nil {
		return
	}
	if m.Days != nil {
		faults.add("calendar_ambiguous", "/ics", "a calendar has days or ics, not both: give one of them")
		return
	}
	items, err := calendar.ParseICS(*m.ICS)
	lines, _ := errors.AsType[calendar.Errors](err)
	for _, e := range lines {
		faults.add(e.Code, "/ics", "line %d: %s", e.Item, e.Message)
	}
	m.Days = append([]calendar.Item{}, items...)
}

// Check returns all that is wrong with a calendar, as Faults.
func (c Calendar) Check() error {
	var faults Faults
	if !calendarName.MatchString(c.Name) {
		faults.add("calendar_name_invalid", "/name", "%q: %s", c.Name, calendarNameWanted)
	}
	if utf8.RuneCountInString(c.Description) > maxText || strings.ContainsFunc(c.Description, func(r rune) bool {
		return r < ' ' && r != '\n' && r != '\t' || r == 0x7f
	}) {
		faults.add("text_invalid", "/description", "want at most %d characters, none of them a control character", maxText)
	}
	faults.source(c.Source)
	if c.Days == nil {
		faults.add("days_missing", "/days", "give the days and ranges: what a calendar has is replaced by them; [] for none")
	}
	_, err := calendar.Compile(c.Days)
	items, _ := errors.AsType[calendar.Errors](err)
	for _, e := range items {
		field := "/days"
		if e.Item >= 0 {
			field += fmt.Sprintf("/%d", e.Item)
		}
		if e.Member != "" {
			field += "/" + e.Member
		}
		faults.add(e.Code, field, "%s", e.Message)
	}
	if raw, err := json.Marshal(c.Days); err != nil || len(raw) > MaxPayload {
		faults = append(faults, TooLong(len(raw)))
	}
	return faults.err()
}
