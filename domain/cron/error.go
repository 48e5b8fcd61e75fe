package cron

import "fmt"

// Codes of errors.
const (
	CodeSyntax     = "cron_syntax"
	CodeNeverFires = "cron_never_fires"
)

// Error says what is wrong with an expression, and how to mend it.
type Error struct {
	Code     string
	Field    string // "day-of-week"; empty when it is about the whole
	Text     string // the part at fault
	Position int    // of that part, in bytes from the beginning of the expression
	Hint     string // what is wanted
}

// Error has the form: day-of-week "8": 0-7 or sun-sat (at byte 8).
func (e *Error) Error() string {
	where := e.Field
	if where == "" {
		where = "expression"
	}
	return fmt.Sprintf("%s %q: %s (at byte %d)", where, e.Text, e.Hint, e.Position)
}
