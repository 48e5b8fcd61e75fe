package celery

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// ResultPrefix, followed by the task's id, is the key of a result and the channel on which its writing is published.
const ResultPrefix = "celery-task-meta-"

// State is the state of a task in its result.
type State string

// Celery's states. A result is final in Success, Failure and Revoked.
const (
	Pending State = "PENDING"
	Started State = "STARTED" // only with task_track_started
	Retry   State = "RETRY"
	Success State = "SUCCESS"
	Failure State = "FAILURE"
	Revoked State = "REVOKED"
)

// Result is what a worker leaves in the result backend. Tasks with ignore_result leave none.
type Result struct {
	TaskID    string
	Status    State           // or a custom state of the application
	Value     json.RawMessage // what the task returned
	Exception Exception       // of Failure, Retry and Revoked
	Traceback string
	Worker    string    // the worker's node name, if the result has it (result_extended, task_track_started)
	DoneAt    time.Time // UTC; zero when the task is not done
	Unread    []string  // the members that could not be read and are left out, and why
}

// Exception is what a task raised.
type Exception struct {
	Type    string // "ValueError"
	Module  string // "builtins"
	Message string // its arguments, joined when there are several
}

func (e Exception) String() string {
	if e.Message == "" {
		return e.Type
	}
	return e.Type + ": " + e.Message
}

// Expired reports whether the task was revoked because its expiry had passed before a worker took it.
func (r Result) Expired() bool { return r.Status == Revoked && r.Exception.Message == "expired" }

// ParseResult decodes a result in the forms of Celery 5.2 to 5.6, compressed or not. It leaves out what it cannot read
// of what adds to the state.
func ParseResult(text []byte) (Result, error) {
	text, err := inflate(text)
	if err != nil {
		return Result{}, fmt.Errorf("read a result: %w", err)
	}
	var m struct {
		TaskID    string          `json:"task_id"`
		Status    State           `json:"status"`
		Result    json.RawMessage `json:"result"`
		Traceback json.RawMessage `json:"traceback"`
		DateDone  json.RawMessage `json:"date_done"`
		Worker    json.RawMessage `json:"worker"`
	}
	if err := unmarshal(text, &m); err != nil {
		return Result{}, fmt.Errorf("read a result: %w", err)
	}
	if m.TaskID == "" || m.Status == "" {
		return Result{}, errors.New("read a result: it has no task_id or no status")
	}
	r := Result{TaskID: m.TaskID, Status: m.Status}
	r.Traceback, r.Worker = r.text("traceback", m.Traceback), r.text("worker", m.Worker)
	if r.DoneAt, err = doneAt(r.text("date_done", m.DateDone)); err != nil {
		r.Unread = append(r.Unread, err.Error())
	}
	switch m.Status {
	case Started:
		r.Value, r.Worker = m.Result, cmp.Or(r.Worker, startedBy(m.Result))
	case Failure, Retry, Revoked:
		r.Exception = exception(m.Result)
	default:
		r.Value = m.Result
	}
	return r, nil
}

// text returns a member that is a text, or none and notes that it is something else.
func (r *Result) text(member string, raw json.RawMessage) (text string) {
	if raw != nil && json.Unmarshal(raw, &text) != nil {
		r.Unread = append(r.Unread, member+" is not a text")
	}
	return text
}

// startedBy returns the worker that the result of a started task names.
func startedBy(raw json.RawMessage) string {
	var m struct {
		Hostname string `json:"hostname"`
	}
	_ = json.Unmarshal(raw, &m) // a custom state may hold anything
	return m.Hostname
}

// doneAt parses a time with an offset, as Celery 5.6 writes it, or without one, in UTC. It returns the zero time for an
// implausible one.
func doneAt(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t, err = time.Parse("2006-01-02T15:04:05", text)
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("date_done %q is not a time", text)
	}
	if t = t.UTC(); t.Before(firstTime) || !t.Before(endOfTime) {
		return time.Time{}, nil
	}
	return t, nil
}

// exception decodes what a task raised. Results of other encoders have other contents, which become the message
// unchanged.
func exception(raw json.RawMessage) Exception {
	var m struct {
		Type    string          `json:"exc_type"`
		Module  string          `json:"exc_module"`
		Message json.RawMessage `json:"exc_message"`
	}
	if json.Unmarshal(raw, &m) != nil || m.Type == "" {
		return Exception{Message: plain(raw)}
	}
	var arguments []json.RawMessage
	if json.Unmarshal(m.Message, &arguments) != nil {
		return Exception{m.Type, m.Module, plain(m.Message)}
	}
	texts := make([]string, len(arguments))
	for i, a := range arguments {
		texts[i] = plain(a)
	}
	return Exception{m.Type, m.Module, strings.Join(texts, ", ")}
}

// plain returns a string value without its quotes, "None" for null, and any other value as its JSON.
func plain(raw json.RawMessage) string {
	var text string
	if string(raw) == "null" {
		return "None"
	}
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	return string(raw)
}
