package rrule

import (
	"fmt"
	"strings"
)

// Codes of errors.
const (
	CodeSyntax     = "rrule_syntax"
	CodeNeverFires = "rrule_never_fires"
)

// Error is one fault.
type Error struct {
	Code     string
	Part     string // "BYDAY", or a property such as "DTSTART"
	Text     string // what is at fault
	Position int    // of that, in bytes from the beginning of the text
	Hint     string // what is wanted
}

// Error has the form: BYDAY "XX": SU, MO, ... (at byte 25). What is said of the whole rule has no such place.
func (e *Error) Error() string {
	if e.Text == "" && e.Position == 0 {
		return e.Part + ": " + e.Hint
	}
	return fmt.Sprintf("%s %q: %s (at byte %d)", e.Part, e.Text, e.Hint, e.Position)
}

// Errors are all the faults of a text.
type Errors []*Error

func (e Errors) Error() string {
	texts := make([]string, len(e))
	for i, one := range e {
		texts[i] = one.Error()
	}
	return strings.Join(texts, "; ")
}
