package notify

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay"
	"github.com/tactus-dev/tactus/relay/cloudevents"
)

// event is a happening as it is in the log.
type event struct {
	RunID        domain.ID  `json:"run_id,omitzero"`
	ScheduleID   domain.ID  `json:"schedule_id"`
	ScheduleName string     `json:"schedule_name"`
	Tags         []string   `json:"tags,omitempty"`
	TaskName     string     `json:"task_name,omitempty"`
	Kind         string     `json:"kind,omitempty"`
	Status       string     `json:"status,omitempty"`
	DueAt        time.Time  `json:"due_at,omitzero"`
	Until        time.Time  `json:"until,omitzero"`
	StartedAt    time.Time  `json:"started_at,omitzero"`
	FinishedAt   time.Time  `json:"finished_at,omitzero"`
	Worker       string     `json:"worker,omitempty"`
	Error        string     `json:"error,omitempty"`
	Reason       string     `json:"reason,omitempty"`
	RuleID       *domain.ID `json:"rule_id,omitempty"` // the only rule that is to tell it, if a sweep has found it
	What         string     `json:"what,omitempty"`

	at    time.Time
	place relay.ID
}

// Encode returns the message of a happening, whose subject is the schedule. A row that is not a valid happening,
// because somebody wrote it by hand, is an error here, so that the relay sets it aside. In the sink it would block all
// happenings behind it.
func Encode(row outbox.Row, epoch string) (*message.Message, error) {
	if err := json.Unmarshal(row.Data, &event{}); err != nil {
		return nil, fmt.Errorf("read happening %s: %w", row.Aggregate, err)
	}
	return cloudevents.Happening(row, epoch)
}

// eventsOf returns the happenings among entries.
func eventsOf(entries []relay.Entry) (all []event, err error) {
	for _, e := range entries {
		if e.Message == nil {
			continue
		}
		envelope, err := cloudevents.Parse(e.Message.Payload)
		if err != nil {
			return nil, err
		}
		one := event{at: envelope.Time, place: e.ID}
		if err := json.Unmarshal(envelope.Data, &one); err != nil {
			return nil, fmt.Errorf("read happening %s: %w", envelope.ID, err)
		}
		all = append(all, one)
	}
	return all, nil
}

// unwell are the final states of a run after which its schedule counts as failing until it recovers.
var unwell = []string{string(domain.Failed), string(domain.Unknown), string(domain.MissedRun), string(domain.Expired)}

// concerns reports whether an event may be one that a rule tells.
func (e event) concerns(r domain.NotificationRule) bool {
	if e.RuleID != nil {
		return *e.RuleID == r.ID
	}
	return !e.at.Before(r.UpdatedAt) && r.Fits(e.ScheduleName, e.Tags, e.TaskName)
}

// toldBy returns which happening a rule tells because of an event that concerns it, or nothing. failing says whether
// the schedule was failing before.
func (e event) toldBy(r domain.NotificationRule, failing bool) domain.Happening {
	switch {
	case e.RuleID != nil:
		return domain.Happening(e.What)
	case failing && e.Status == string(domain.Succeeded) && slices.Contains(r.On, domain.HasRecovered):
		return domain.HasRecovered
	case slices.Contains(r.On, domain.Happening(e.Status)):
		return domain.Happening(e.Status)
	}
	return ""
}

// The kinds of deliveries. Happenings of different kinds gather in different deliveries.
const (
	kindFine = "fine" // for pings: all is well
	kindFail = "fail"
	kindTest = "test"
)

// kindOf returns the kind of delivery in which a happening gathers. Pings need several kinds, because a ping can only
// say one thing.
func kindOf(to domain.Channel, what domain.Happening) string {
	switch {
	case to != domain.Ping:
		return ""
	case what == domain.RunHasSucceeded:
		return kindFine
	}
	return kindFail
}

// mostError is how many characters of an error are sent.
const mostError = 1000

// document returns a happening as it is sent.
func (e event) document(what domain.Happening) string {
	e.What, e.RuleID = string(what), nil
	if text := []rune(e.Error); len(text) > mostError {
		e.Error = string(text[:mostError]) + "…"
	}
	raw, _ := json.Marshal(e) // it came as JSON
	return string(raw)
}

// words describes a happening in one line.
func (e event) words() string {
	var why string
	for _, text := range []string{e.Error, e.Reason} {
		if first, _, _ := strings.Cut(strings.TrimSpace(text), "\n"); first != "" {
			why = ": " + first
			break
		}
	}
	due := ""
	if !e.DueAt.IsZero() {
		due = ", due " + e.DueAt.UTC().Format(time.RFC3339)
	}
	return fmt.Sprintf("%s %s%s%s", e.ScheduleName, strings.ReplaceAll(e.What, "_", " "), due, why)
}
