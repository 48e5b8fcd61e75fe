package celery

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"
)

// Event is what a worker tells while it works (worker -E). Which members are set depends on the type.
type Event struct {
	Type     string // "task-received", "worker-online"
	Hostname string // the worker's node name; that of the sender for task-sent
	PID      int
	Clock    int64     // Lamport's: orders the events of several workers
	Time     time.Time // UTC, by the worker's clock; zero when it is not told, or cannot be

	TaskID   string // of events named task-*
	RootID   string
	ParentID string
	Name     string // received and sent, like the five below
	Args     string // as shown to people
	Kwargs   string
	Retries  int
	ETA      string
	Expires  string

	Queue      string // sent: the queue that was named, like the two below; empty when an exchange was
	Exchange   string
	RoutingKey string

	Result    string  // succeeded: as shown to people
	Runtime   float64 // succeeded: seconds
	Exception string  // failed and retried: "ValueError('no')"
	Traceback string

	Terminated bool // revoked: while it ran
	Expired    bool // revoked: its expiry had passed
	Requeue    bool // rejected: another worker will take it up

	Idle bool // worker-heartbeat: it runs no task
}

// ParseEvents reads the payload of a channel /<db>.celeryev/*: workers send what concerns tasks in lists, and what
// concerns themselves one by one. With an error come the events that could be read.
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
			continue
		}
		events = append(events, e)
	}
	return events, errors.Join(errs...)
}

// openEnvelope takes the body out of its envelope.
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
		Active     *int    `json:"active"`
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return Event{}, err
	}
	if m.Type == "" {
		return Event{}, errors.New("it has no type")
	}
	return Event{
		m.Type, m.Hostname, m.PID, m.Clock, unixTime(m.Timestamp), m.UUID, m.RootID, m.ParentID, m.Name, m.Args, m.Kwargs,
		m.Retries, m.ETA, m.Expires, m.Queue, m.Exchange, m.RoutingKey, m.Result, m.Runtime, m.Exception, m.Traceback, m.Terminated, m.Expired, m.Requeue,
		m.Active != nil && *m.Active == 0,
	}, nil
}

// Times that a worker can tell of: from 2000 on, as far as four digits tell the year.
var (
	firstTime = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	endOfTime = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
)

// unixTime keeps the microseconds, which is what a float has room for. A time that no worker can mean (milliseconds taken for
// seconds, a clock that was never set) is not told: it is zero.
func unixTime(seconds float64) time.Time {
	if !(seconds >= float64(firstTime.Unix()) && seconds < float64(endOfTime.Unix())) { // NaN is neither
		return time.Time{}
	}
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(math.Round(fraction*1e6))*1000).UTC()
}
