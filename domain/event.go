package domain

import (
	"encoding/json"
	"fmt"
	"time"
)

// EventType names what happened, in events as other programs read them.
type EventType string

// The types of events.
const (
	ScheduleCreated     EventType = "schedule.created"
	ScheduleUpdated     EventType = "schedule.updated"
	ScheduleDeleted     EventType = "schedule.deleted"
	ScheduleEnabled     EventType = "schedule.enabled"
	ScheduleDisabled    EventType = "schedule.disabled"
	ScheduleInvalidated EventType = "schedule.invalidated"
	ScheduleCompleted   EventType = "schedule.completed"
	LogEpochStarted     EventType = "log.epoch_started"
	ZoneChanged         EventType = "zone.changed"
	RouteSet            EventType = "route.set"
	RouteDeleted        EventType = "route.deleted"
	RunDue              EventType = "run.due"
)

// Event is one change of one schedule. Data is the schedule after the change.
type Event struct {
	ScheduleID ID              `json:"schedule_id"`
	Version    int64           `json:"version"`
	Type       EventType       `json:"type"`
	Data       json.RawMessage `json:"data"`
	At         time.Time       `json:"at"`
}

// Apply returns the schedule after an event, from the schedule before it (the zero Schedule before the first event).
// Versions must follow each other without a gap. The data of every released version stay readable for ever.
func Apply(before Schedule, e Event) (Schedule, error) {
	if !before.ID.IsZero() && before.ID != e.ScheduleID {
		return Schedule{}, fmt.Errorf("apply %s/%d: it is an event of another schedule than %s", e.ScheduleID,
			e.Version, before.ID)
	}
	if e.Version != before.Version+1 {
		return Schedule{}, fmt.Errorf("apply %s/%d: the schedule is at version %d", e.ScheduleID, e.Version,
			before.Version)
	}
	after, err := decodeSchedule(e.Data)
	if err != nil {
		return Schedule{}, fmt.Errorf("apply %s/%d: %w", e.ScheduleID, e.Version, err)
	}
	if after.ID != e.ScheduleID || after.Version != e.Version {
		return Schedule{}, fmt.Errorf("apply %s/%d: its data is of %s/%d", e.ScheduleID, e.Version, after.ID,
			after.Version)
	}
	return after, nil
}
