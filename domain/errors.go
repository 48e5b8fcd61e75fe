package domain

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Kind is the family of an error. It decides the outside answer (an HTTP status, an exit code).
type Kind int

const (
	Invalid         Kind = iota + 1 // the input is at fault
	NotFound                        // no such living schedule or run
	Conflict                        // the name is taken, or somebody else manages the schedule
	Stale                           // the version is not the one the caller had read
	TooLarge                        // the input is larger than what is stored
	Unauthenticated                 // nobody knows who asks
	Forbidden                       // who asks may not do it
	Busy                            // not now: too much waits that others, or the same, have asked for
)

// Error is one fault: what is wrong, where, and how to fix it.
type Error struct {
	Kind    Kind
	Code    string // stable, for programs: "cron_syntax"
	Field   string // JSON pointer into the input: "/cron_expression"; empty when the fault concerns the whole input
	Message string // for people: the fault and how to fix it
}

func (e *Error) Error() string {
	if e.Field == "" {
		return e.Code + ": " + e.Message
	}
	return e.Code + " at " + e.Field + ": " + e.Message
}

// Is reports whether target has the same code, whatever its field and message: errors.Is then takes the two for equal.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// Errors for comparison with errors.Is.
var (
	ErrNotFound         = &Error{Kind: NotFound, Code: "not_found", Message: "there is no such schedule"}
	ErrRunNotFound      = &Error{Kind: NotFound, Code: "not_found", Message: "there is no such run"}
	ErrBackfillNotFound = &Error{Kind: NotFound, Code: "not_found", Message: "there is no such backfill"}
	ErrNameTaken        = &Error{Kind: Conflict, Code: "name_taken", Field: "/name", Message: "another schedule has this name: choose another, or upsert by name"}
	ErrManaged          = &Error{Kind: Conflict, Code: "managed_elsewhere", Message: "the schedule was adopted from another table: change it there"}
	ErrScheduleInvalid  = &Error{Kind: Conflict, Code: "schedule_invalid", Message: "the schedule is invalid: correct it first"}
	ErrNothingDue       = &Error{Kind: Conflict, Code: "nothing_due", Message: "the schedule has no due times to come"}
	ErrLocked           = &Error{Kind: Conflict, Code: "schedule_locked", Message: "another transaction has locked the schedule: try again"}
	ErrBacklog          = &Error{Kind: Busy, Code: "backlog_full", Message: backlogFull}
	ErrRouteLocked      = &Error{Kind: Conflict, Code: "route_locked", Message: "another transaction has locked the route: try again"}
	ErrVersionConflict  = &Error{Kind: Stale, Code: "version_conflict", Message: "the schedule has changed since it was read: read it again and repeat the change"}
)

const backlogFull = "16 MiB of tasks wait to be handed over, and large ones are not added to them: " +
	"nothing was recorded; try again in a moment"

// Faults holds all faults of one input, in the order of its fields.
type Faults []*Error

func (f Faults) Error() string {
	texts := make([]string, len(f))
	for i, e := range f {
		texts[i] = e.Error()
	}
	return strings.Join(texts, "; ")
}

// Unwrap returns the faults, for errors.Is and errors.As.
func (f Faults) Unwrap() []error {
	errs := make([]error, len(f))
	for i, e := range f {
		errs[i] = e
	}
	return errs
}

// FaultsOf returns the faults that err carries, or nil when err has another cause than the input.
func FaultsOf(err error) Faults {
	if all, ok := errors.AsType[Faults](err); ok {
		return all
	}
	if one, ok := errors.AsType[*Error](err); ok {
		return Faults{one}
	}
	return nil
}

// Join combines the faults of several checks of one input. It leaves out a fault of a later check that concerns a
// member with a fault already, or the whole input, because it may follow from the earlier one. An error that is not a
// fault is returned alone.
func Join(first, second error) error {
	known, more := FaultsOf(first), FaultsOf(second)
	switch {
	case first == nil || second != nil && more == nil:
		return second
	case second == nil || known == nil || known[0].unreadable():
		return first
	}
	all := slices.Clone(known)
	for _, e := range more {
		if e.Field != "" && !slices.ContainsFunc(known, func(k *Error) bool { return k.Field == e.Field }) {
			all = append(all, e)
		}
	}
	return all[:min(len(all), MaxFaults)]
}

// MaxFaults is the most faults in one answer. Whoever fixes those is told of further ones.
const MaxFaults = 50

// full reports whether another fault would not be reported.
func (f Faults) full() bool { return len(f) >= MaxFaults }

// unreadable reports whether the input could not be decoded at all.
func (e *Error) unreadable() bool {
	return e.Code == "json_invalid" || e.Code == "utf8_invalid" || e.Code == "payload_too_large"
}

// add appends a fault. Of a long input it cites only enough to find the place.
func (f *Faults) add(code, field, format string, args ...any) {
	if f.full() {
		return
	}
	for i, a := range args {
		if text, ok := a.(string); ok {
			args[i] = shown(text)
		}
	}
	message := []rune(fmt.Sprintf(format, args...))
	*f = append(*f, &Error{Kind: Invalid, Code: code, Field: shown(field), Message: string(message[:min(len(message), maxMessage)])})
}

// maxMessage is the longest message of a fault, in characters.
const maxMessage = 1_000

func shown(text string) string {
	if short := firstCharacters(text, maxName); short != text {
		return short + "…"
	}
	return text
}

func (f Faults) err() error {
	if len(f) == 0 {
		return nil
	}
	return f
}
