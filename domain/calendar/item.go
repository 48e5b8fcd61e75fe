package calendar

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Item is a day, or a range, of a calendar. Its JSON is "2027-01-01", or an object.
type Item struct {
	From   string `json:"from" doc:"The first day (2027-01-01), or a time: local (2027-01-01T02:00), or with an offset."`
	To     string `json:"to,omitempty" doc:"The last day; of a range of times, the time before which it ends. The same day as from unless given."`
	Reason string `json:"reason,omitempty" doc:"Why, as it is shown."`
	RRule  string `json:"rrule,omitempty" doc:"Repeats the range: lines of RFC 5545 such as RRULE:FREQ=WEEKLY, counted from its beginning."`
	// Timezone is for times alone: days are those of whoever asks.
	Timezone string `json:"timezone,omitempty" doc:"IANA name, in which local times are; that of the schedule unless given."`
}

// plain has the members of an item and no methods.
type plain Item

// MarshalJSON writes a day without a reason as a text.
func (i Item) MarshalJSON() ([]byte, error) {
	if i == (Item{From: i.From}) {
		return json.Marshal(i.From)
	}
	return json.Marshal(plain(i))
}

// UnmarshalJSON reads a day, or an object with known members only.
func (i *Item) UnmarshalJSON(raw []byte) error {
	*i = Item{}
	if bytes.HasPrefix(bytes.TrimLeft(raw, " \t\r\n"), []byte(`"`)) {
		return json.Unmarshal(raw, &i.From)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	return d.Decode((*plain)(i))
}

// Codes of errors.
const (
	CodeDayInvalid   = "day_invalid"
	CodeRangeInvalid = "range_invalid"
	CodeTooLarge     = "calendar_too_large"
	CodeTextInvalid  = "text_invalid"

	CodeTooLargeTogether = "calendars_too_large" // all calendars together
)

// Error is one fault of an item.
type Error struct {
	Code    string
	Item    int    // its place, from 0 on; below 0 when the fault concerns all
	Member  string // empty when the fault concerns the whole item
	Message string
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Is reports whether an error has the same code.
func (e *Error) Is(target error) bool {
	other, ok := target.(*Error)
	return ok && other.Code == e.Code
}

// Errors are all the faults of a calendar, up to MaxFaults.
type Errors []*Error

// Unwrap returns each fault.
func (e Errors) Unwrap() []error {
	all := make([]error, len(e))
	for i, one := range e {
		all[i] = one
	}
	return all
}

func (e Errors) Error() string {
	texts := make([]string, len(e))
	for i, one := range e {
		texts[i] = one.Error()
	}
	return strings.Join(texts, "; ")
}

// Bounds of a calendar.
const (
	MaxItems  = 10_000
	MaxSpans  = 50_000       // days and ranges, repetitions included: more than one a day
	MaxWork   = 1_000_000    // steps that it takes to repeat ranges: some 50 ms
	MaxCost   = 20 * MaxWork // of all calendars together: some 80 MB, and a second to compile
	MaxReason = 200          // characters
	MaxRRule  = 2_000        // characters
	MaxFaults = 50
)

// FirstYear and LastYear are the years in which a recurrence repeats a range.
const (
	FirstYear = 1990
	LastYear  = 2100
)

// A day or a time lies in these years.
const minYear, maxYear = 1970, 2200

// bound is an end of a range.
type bound struct {
	seconds int64 // of the wall clock, or since 1970 if it is absolute
	whole   bool  // a day, not a time
	fixed   bool  // absolute: it has an offset
}

var errNoTime = errors.New("want a day such as 2027-01-01, or a time such as 2027-01-01T02:00")

func parseBound(text string) (b bound, err error) {
	if len(text) > 40 {
		return b, errNoTime
	}
	at, err := time.Parse("2006-01-02", text)
	if b.whole = err == nil; !b.whole {
		if at, err = time.Parse(time.RFC3339, text); err == nil {
			b.fixed = true
		}
		for _, layout := range []string{"2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04"} {
			if err == nil {
				break
			}
			at, err = time.Parse(layout, text)
		}
	}
	if err != nil {
		return b, errNoTime
	}
	if year := at.UTC().Year(); year < minYear || year > maxYear {
		return b, fmt.Errorf("want a day of the years %d to %d", minYear, maxYear)
	}
	b.seconds = at.Unix()
	return b, nil
}

// span returns what an item covers first, from its beginning to just before its end.
func (i Item) span() (s span, fixed bool, fault *Error) {
	from, err := parseBound(i.From)
	if err != nil {
		return s, false, &Error{Code: CodeDayInvalid, Member: "from", Message: fmt.Sprintf("%.60q: %v", i.From, err)}
	}
	to := from
	if i.To != "" {
		if to, err = parseBound(i.To); err != nil {
			return s, false, &Error{Code: CodeDayInvalid, Member: "to", Message: fmt.Sprintf("%.60q: %v", i.To, err)}
		}
	}
	switch {
	case to.whole != from.whole || to.fixed != from.fixed:
		return s, false, &Error{Code: CodeRangeInvalid, Member: "to", Message: "from and to are of different kinds: give two days, two local times, or two times with an offset"}
	case i.To == "" && !from.whole:
		return s, false, &Error{Code: CodeRangeInvalid, Member: "to", Message: "a time needs an end: give to"}
	case to.whole:
		to.seconds += day
	}
	if to.seconds <= from.seconds {
		return s, false, &Error{Code: CodeRangeInvalid, Member: "to", Message: fmt.Sprintf("%.60q is before from, %.60q", i.To, i.From)}
	}
	if i.Timezone != "" && (from.whole || from.fixed) {
		return s, false, &Error{Code: CodeRangeInvalid, Member: "timezone", Message: "it is for local times alone, such as 2027-01-01T02:00"}
	}
	if from.fixed && i.RRule != "" {
		return s, false, &Error{Code: CodeRangeInvalid, Member: "rrule", Message: "what repeats is of the wall clock: give from and to without an offset"}
	}
	return span{from.seconds, to.seconds, i.Reason}, from.fixed, nil
}

// textFault returns what is wrong with the texts of an item.
func (i Item) textFault() *Error {
	for _, c := range []bounded{{"reason", i.Reason, MaxReason}, {"rrule", i.RRule, MaxRRule}} {
		if utf8.RuneCountInString(c.text) > c.most || !utf8.ValidString(c.text) ||
			strings.ContainsFunc(c.text, func(r rune) bool { return r < ' ' && (c.member != "rrule" || r != '\n' && r != '\r') || r == 0x7f }) {
			return &Error{Code: CodeTextInvalid, Member: c.member, Message: fmt.Sprintf("want at most %d characters, none of them a control character", c.most)}
		}
	}
	return nil
}

// bounded is a text of an item, with its greatest length.
type bounded struct {
	member, text string
	most         int
}
