package celery

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"
)

// Event is what a worker sends about its work when it runs with -E. The type decides which members are set.
type Event struct {
	Type     string // "task-received", "worker-online"
	Hostname string // the worker's node name; that of the sender for task-sent
	PID      int
	Clock    int64     // a Lamport clock, which orders the events of several workers
	Time     time.Time // UTC, by the worker's clock; zero when absent or implausible

	TaskID   string // of task-* events
	RootID   string
	ParentID string
	Name     string // task-received and task-sent, like the five below
	Args     string // as shown to people
	Kwargs   string
	Retries  int
	ETA      string
	Expires  string

	Queue      string // task-sent: the queue that the call named, like the two below; empty when it named an exchange
	Exchange   string
	RoutingKey string

	Result    string  // task-succeeded: as shown to people
	Runtime   float64 // task-succeeded: seconds
	Exception string  // task-failed and task-retried: "ValueError('no')"
	Traceback string

	Terminated bool // task-revoked: while it ran
	Expired    bool // task-revoked: its expiry had passed
	Requeue    bool // task-rejected: another worker will receive it

	Heartbeat *Heartbeat // worker-heartbeat; nil when it lacks a member
}

// Heartbeat is what a worker says of itself from time to time.
type Heartbeat struct {
	Every     float64 // seconds between two of them
	Active    int64   // tasks that it has begun and not ended
	Processed int64   // tasks that it has ever begun
}

// ParseEvents decodes a payload of a channel /<db>.celeryev/*. Workers send events about tasks in lists, and events
// about themselves one by one. Beside an error it returns the events that it could decode, without the members that it
// could not.
func ParseEvents(payload []byte) ([]Event, error) {
	body, err := openEnvelope(payload)
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	items := []json.RawMessage{body}
	if bytes.HasPrefix(bytes.TrimSpace(body), []byte("[")) {
		if err := json.Unmarshal(body, &items); err != nil {
			return nil, fmt.Errorf("read events: %w", err)
		}
	}
	var events []Event
	var errs []error
	for _, item := range items {
		e, err := parseEvent(item)
		if err != nil {
			errs = append(errs, fmt.Errorf("read an event: %w", err))
		}
		if e.Type != "" {
			events = append(events, e)
		}
	}
	return events, errors.Join(errs...)
}

// openEnvelope returns the body of an envelope.
func openEnvelope(payload []byte) (json.RawMessage, error) {
	var m struct {
		Body        string `json:"body"`
		ContentType string `json:"content-type"`
		Properties  struct {
			BodyEncoding string `json:"body_encoding"`
		} `json:"properties"`
	}
	if err := json.Unmarshal(payload, &m); err != nil {
		return nil, err
	}
	if m.ContentType != "application/json" {
		return nil, fmt.Errorf("the content type is %q: set event_serializer to json", m.ContentType)
	}
	text := []byte(m.Body)
	if m.Properties.BodyEncoding == "base64" {
		var err error
		if text, err = base64.StdEncoding.DecodeString(m.Body); err != nil {
			return nil, err
		}
	}
	if !json.Valid(text) {
		return nil, errors.New("the body is not JSON")
	}
	return text, nil
}

// parseEvent decodes an event. With an error it returns what it could decode; without a type, nothing.
func parseEvent(text json.RawMessage) (Event, error) {
	var m struct {
		Type       string  `json:"type"`
		Hostname   string  `json:"hostname"`
		PID        int     `json:"pid"`
		Clock      int64   `json:"clock"`
		Timestamp  float64 `json:"timestamp"`
		UUID       string  `json:"uuid"`
		RootID     string  `json:"root_id"`
		ParentID   string  `json:"parent_id"`
		Name       string  `json:"name"`
		Args       string  `json:"args"`
		Kwargs     string  `json:"kwargs"`
		Retries    int     `json:"retries"`
		ETA        string  `json:"eta"`
		Expires    string  `json:"expires"`
		Queue      string  `json:"queue"`
		Exchange   string  `json:"exchange"`
		RoutingKey string  `json:"routing_key"`
		Result     string  `json:"result"`
		Runtime    float64 `json:"runtime"`
		Exception  string  `json:"exception"`
		Traceback  string  `json:"traceback"`
		Terminated bool    `json:"terminated"`
		Expired    bool    `json:"expired"`
		Requeue    bool    `json:"requeue"`
		Freq       float64 `json:"freq"`
		Active     *int64  `json:"active"`
		Processed  *int64  `json:"processed"`
	}
	unread := json.Unmarshal(text, &m)
	if _, other := errors.AsType[*json.UnmarshalTypeError](unread); unread != nil && !other {
		return Event{}, unread
	}
	if m.Type == "" {
		return Event{}, cmp.Or(unread, errors.New("it has no type"))
	}
	var beat *Heartbeat
	if m.Type == "worker-heartbeat" && m.Freq > 0 && m.Active != nil && m.Processed != nil {
		beat = &Heartbeat{m.Freq, *m.Active, *m.Processed}
	}
	return Event{
		m.Type, m.Hostname, m.PID, m.Clock, unixTime(m.Timestamp), m.UUID, m.RootID, m.ParentID, m.Name, m.Args, m.Kwargs,
		m.Retries, m.ETA, m.Expires, m.Queue, m.Exchange, m.RoutingKey, m.Result, m.Runtime, m.Exception, m.Traceback, m.Terminated, m.Expired, m.Requeue,
		beat,
	}, unread
}

// The range of plausible times: from the year 2000 to the last year with four digits.
var (
	firstTime = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	endOfTime = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
)

// unixTime converts a timestamp, to the microsecond, which is the precision of a float. It returns the zero time for an
// implausible one (milliseconds instead of seconds, a clock that was never set).
func unixTime(seconds float64) time.Time {
	if !(seconds >= float64(firstTime.Unix()) && seconds < float64(endOfTime.Unix())) { // false for NaN
		return time.Time{}
	}
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(math.Round(fraction*1e6))*1000).UTC()
}
