package tactus

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Error is an answer that refuses a request: the problem document that the API sent, with all faults of the request.
type Error struct {
	Problem
	RetryAfter time.Duration // when to try again, if the API says so
}

// Error lists every fault: the field, what is wrong, and how to correct it.
func (e *Error) Error() string {
	said := e.Said()
	if len(e.Errors) == 0 {
		return "the API answered " + said
	}
	lines := make([]string, len(e.Errors))
	for i, f := range e.Errors {
		lines[i] = f.Error()
	}
	return "refused (" + said + "): " + strings.Join(lines, "\n  and ")
}

// Said is the status in words, such as 404 Not Found.
func (e *Error) Said() string {
	return strings.TrimSpace(strconv.FormatInt(e.Status, 10) + " " + http.StatusText(int(e.Status)))
}

// Error returns the field, if the fault is in one, and the message.
func (f Fault) Error() string {
	if f.Location == "" {
		return f.Message
	}
	return f.Location + ": " + f.Message
}

// Is reports whether one of the faults has the code.
func (e *Error) Is(target error) bool {
	code, ok := target.(Code)
	return ok && slices.ContainsFunc(e.Errors, func(f Fault) bool { return f.Code == string(code) })
}

// Code is the code of a fault, as a target of errors.Is.
type Code string

func (c Code) Error() string { return string(c) }

// What programs ask for most.
const (
	ErrNotFound        Code = "not_found"
	ErrNameTaken       Code = "name_taken"
	ErrVersionConflict Code = "version_conflict"
)

// refused makes an error of an answer. What is not from the API, such as the page of a proxy, has a status and no
// faults.
func refused(response *http.Response, body []byte) *Error {
	e := &Error{}
	if json.Unmarshal(body, &e.Problem) != nil {
		e.Problem = Problem{}
	}
	e.Status = int64(response.StatusCode)
	e.RetryAfter = retryAfter(response.Header.Get("Retry-After"), time.Now())
	return e
}

// retryAfter reads both forms of the header: seconds, and a time.
func retryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseInt(text, 10, 32); err == nil {
		return time.Duration(max(seconds, 0)) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}
