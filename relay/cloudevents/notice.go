package cloudevents

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// notice has the members that earlier listeners know, and two more: version and type.
type notice struct {
	EventType  string           `json:"event_type"`
	ScheduleID string           `json:"schedule_id"`
	Timestamp  string           `json:"timestamp"`
	Version    int64            `json:"version"`
	Type       domain.EventType `json:"type"`
}

// eventTypes maps events to the three types that earlier listeners know. To them a schedule that was enabled, disabled,
// completed or found invalid counts as updated.
var eventTypes = map[domain.EventType]string{
	domain.ScheduleCreated:     "schedule_created",
	domain.ScheduleUpdated:     "schedule_updated",
	domain.ScheduleEnabled:     "schedule_updated",
	domain.ScheduleDisabled:    "schedule_updated",
	domain.ScheduleInvalidated: "schedule_updated",
	domain.ScheduleCompleted:   "schedule_updated",
	domain.ScheduleDeleted:     "schedule_deleted",
}

// Notice returns the Pub/Sub notice of an event, or nil if the event has none.
func Notice(payload []byte) ([]byte, error) {
	h, err := ParseHead(payload)
	if err != nil {
		return nil, err
	}
	known, ok := eventTypes[h.Type]
	if !ok {
		return nil, nil
	}
	text, err := json.Marshal(notice{known, h.Subject, isoTime(h.Time), h.Version(), h.Type})
	if err != nil {
		return nil, fmt.Errorf("encode notice: %w", err)
	}
	return text, nil
}

// isoTime formats a time as Python's isoformat does. Before 3.11, fromisoformat parses no other form.
func isoTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000-07:00") }
