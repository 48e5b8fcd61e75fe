package domain

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Kind is the family of an error, by which the outside chooses its answer (an HTTP status, an exit code).
type Kind int

const (
	Invalid  Kind = iota + 1 // the input is at fault
	NotFound                 // no such living schedule or run
	Conflict                 // the name is taken, or somebody else manages the schedule
	Stale                    // the version is not the one the caller had read
	TooLarge                 // the input is bigger than we store
)

// Error is one fault: what is wrong, where, and how to mend it.
type Error struct {
	Kind    Kind
	Code    string // stable, for programs: "cron_syntax"
	Field   string // JSON pointer into the input: "/cron_expression"; empty when it is about the whole
	Message string // for people: the fault and the mend
}

func (e *Error) Error() string {
	if e.Field == "" {
		return e.Code + ": " + e.Message
	}
	return e.Code + " at " + e.Field + ": " + e.Message
}

// Is makes errors of the same code equal for errors.Is, whatever field and words they carry.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// Errors to compare with errors.Is.
var (
	ErrNotFound        = &Error{Kind: NotFound, Code: "not_found", Message: "there is no such schedule"}
	ErrRunNotFound     = &Error{Kind: NotFound, Code: "not_found", Message: "there is no such run"}
	ErrNameTaken       = &Error{Kind: Conflict, Code: "name_taken", Field: "/name", Message: "another schedule has this name: choose another, or upsert by name"}
	ErrManaged         = &Error{Kind: Conflict, Code: "managed_elsewhere", Message: "the schedule was adopted from another table: change it there"}
	ErrVersionConflict = &Error{Kind: Stale, Code: "version_conflict", Message: "the schedule has changed since it was read: read it again and repeat the change"}
)

// Faults are all the faults of one input, in the order of its fields.
type Faults []*Error

func (f Faults) Error() string {
	texts := make([]string, len(f))
	for i, e := range f {
		texts[i] = e.Error()
	}
	return strings.Join(texts, "; ")
}

// Unwrap lets errors.Is and errors.As see each fault.
func (f Faults) Unwrap() []error {
	errs := make([]error, len(f))
	for i, e := range f {
		errs[i] = e
	}
	return errs
}

// FaultsOf returns the faults that err carries, or nil when it is not the input that is at fault.
func FaultsOf(err error) Faults {
	if all, ok := errors.AsType[Faults](err); ok {
		return all
	}
	if one, ok := errors.AsType[*Error](err); ok {
		return Faults{one}
	}
	return nil
}

// Join gathers the faults of several looks at one input: what the second says of a member that the first has faulted,
// or of the whole, may follow from that fault, and is left out. An error that is not a fault comes alone.
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

// MaxFaults is how many faults one answer tells of at most: whoever mends them is told of more.
const MaxFaults = 50

// full reports whether another fault would not be told.
func (f Faults) full() bool { return len(f) >= MaxFaults }

// unreadable means that there is nothing of the input to look at.
func (e *Error) unreadable() bool {
	return e.Code == "json_invalid" || e.Code == "utf8_invalid" || e.Code == "payload_too_large"
}

// add tells a fault without repeating more of a long input than it takes to find the place.
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

// maxMessage bounds what a fault says, in characters.
const maxMessage = 1_000

func shown(text string) string {
	if short := clip(text, maxName); short != text {
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
