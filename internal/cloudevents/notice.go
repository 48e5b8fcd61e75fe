package cloudevents

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// notice is in the seed's words; version and type are ours.
type notice struct {
	EventType  string           `json:"event_type"`
	ScheduleID string           `json:"schedule_id"`
	Timestamp  string           `json:"timestamp"`
	Version    int64            `json:"version"`
	Type       domain.EventType `json:"type"`
}

// eventTypes are the three that listeners know. An enabled, disabled or invalidated schedule is to them an updated one.
var eventTypes = map[domain.EventType]string{
	domain.ScheduleCreated:     "schedule_created",
	domain.ScheduleUpdated:     "schedule_updated",
	domain.ScheduleEnabled:     "schedule_updated",
	domain.ScheduleDisabled:    "schedule_updated",
	domain.ScheduleInvalidated: "schedule_updated",
	domain.ScheduleDeleted:     "schedule_deleted",
}

// Notice makes the note for Pub/Sub of an event's payload; nil when the event is not for listeners.
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

// isoTime is ISO 8601 as Python writes it; before 3.11, its fromisoformat reads nothing else.
func isoTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000-07:00") }
