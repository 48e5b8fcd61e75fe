package cloudevents

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/outbox"
)

// Schedule returns the message of a row about a schedule.
func Schedule(row outbox.Row, epoch string) (*message.Message, error) {
	return fromRow(row, epoch, row.Aggregate.String(), row.Data)
}

// Zone returns the message of a row about something other than a schedule: a time zone, a notification rule or a
// backfill. The message has no subject, because subjects are schedules.
func Zone(row outbox.Row, epoch string) (*message.Message, error) {
	return fromRow(row, epoch, "", row.Data)
}

// dueRun is the data of a run on a task stream.
type dueRun struct {
	ScheduleID domain.ID       `json:"schedule_id"`
	RunID      domain.ID       `json:"run_id"`
	DueAt      time.Time       `json:"due_at"`
	TaskName   string          `json:"task_name"`
	Args       json.RawMessage `json:"args"`
	Kwargs     json.RawMessage `json:"kwargs"`
}

// Run returns the message of a row about a run, for a task stream.
func Run(row outbox.Row, epoch string) (*message.Message, error) {
	var run dueRun
	if err := json.Unmarshal(row.Data, &run); err != nil {
		return nil, fmt.Errorf("encode event %s: read the run: %w", idOf(row), err)
	}
	run.Args, run.Kwargs = orElse(run.Args, "[]"), orElse(run.Kwargs, "{}")
	data, err := json.Marshal(run)
	if err != nil {
		return nil, fmt.Errorf("encode event %s: %w", idOf(row), err)
	}
	return fromRow(row, epoch, run.ScheduleID.String(), data)
}

// Happening returns the message of a row about what has happened to a run or a schedule. Its subject is the schedule.
func Happening(row outbox.Row, epoch string) (*message.Message, error) {
	var of struct {
		ScheduleID domain.ID `json:"schedule_id"`
	}
	if err := json.Unmarshal(row.Data, &of); err != nil {
		return nil, fmt.Errorf("encode event %s: read the happening: %w", idOf(row), err)
	}
	return fromRow(row, epoch, of.ScheduleID.String(), row.Data)
}

func orElse(raw json.RawMessage, empty string) json.RawMessage {
	if len(raw) == 0 {
		return json.RawMessage(empty)
	}
	return raw
}

// EpochStarted returns the message that announces an epoch. It makes readers read all schedules again.
func EpochStarted(epoch string, at time.Time) (*message.Message, error) {
	data, err := json.Marshal(map[string]string{"epoch": epoch})
	if err != nil {
		return nil, fmt.Errorf("encode epoch: %w", err)
	}
	return Event{Head{
		SpecVersion: specVersion, ID: "log/" + epoch, Source: source, Type: domain.LogEpochStarted, Time: at.UTC(),
		Epoch: epoch,
	}, data}.message()
}

func idOf(row outbox.Row) string {
	text := make([]byte, 0, 48)
	text, _ = row.Aggregate.AppendText(text) // never fails
	return string(strconv.AppendInt(append(text, '/'), row.Version, 10))
}

func fromRow(row outbox.Row, epoch, subject string, data json.RawMessage) (*message.Message, error) {
	headers := message.Metadata{}
	if err := addHeaders(headers, row.Headers); err != nil {
		return nil, fmt.Errorf("encode event %s: read its headers: %w", idOf(row), err)
	}
	m, err := Event{Head{
		SpecVersion: specVersion, ID: idOf(row), Source: source, Type: row.Type, Subject: subject, Time: row.At.UTC(),
		Epoch: epoch, Actor: headers["actor"], OnBehalfOf: headers["onbehalfof"], Reason: headers["reason"],
		TraceParent: headers["traceparent"],
	}, data}.message()
	if err != nil {
		return nil, err
	}
	m.Metadata = headers
	return m, nil
}

func (e Event) message() (*message.Message, error) {
	payload, err := e.encode()
	if err != nil {
		return nil, err
	}
	return message.NewMessage(e.ID, payload), nil
}

// addHeaders adds headers to the metadata: strings as they are, other values as their JSON.
func addHeaders(m message.Metadata, headers json.RawMessage) error {
	if len(headers) == 0 {
		return nil
	}
	var values map[string]json.RawMessage
	if err := json.Unmarshal(headers, &values); err != nil {
		return err
	}
	for name, value := range values {
		var text string
		if json.Unmarshal(value, &text) != nil {
			text = string(value)
		}
		m.Set(name, text)
	}
	return nil
}
