package memory

import (
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// trigger is a canonical trigger, compiled when that needs no anchor.
type trigger struct {
	domain.Trigger
	compiled domain.Recurrence
	err      error
}

// policy is a canonical policy.
type policy struct {
	domain.Policy
	err error
}

func parseTrigger(text string) (t trigger) {
	t.Trigger, t.err = domain.ParseTrigger(text)
	if t.err == nil && !t.Once && t.Every == 0 {
		t.compiled, t.err = t.Recurrence(time.Time{})
	}
	return t
}

func parsePolicy(text string) (p policy) {
	var err error
	if p.Policy, err = domain.ParsePolicy(text); err != nil {
		p.err = &domain.Error{Kind: domain.Invalid, Code: "policy_unreadable", Message: err.Error()}
	}
	return p
}

// recurrence is when a record is due; nil when its trigger cannot be read (any more).
func (m *Memory) recurrence(r *Record) domain.Recurrence {
	t := m.triggers.value(r.trigger)
	switch {
	case t.err != nil || m.policies.value(r.policy).err != nil:
		return nil
	case t.Once:
		return domain.Once(time.UnixMicro(r.anchor))
	case t.Every > 0:
		return domain.Interval{Anchor: time.UnixMicro(r.anchor), Every: time.Duration(t.Every) * time.Second}
	default:
		return t.compiled
	}
}

// limited tells whether a record fires only so often: its fires are counted, and go one at a time.
func (m *Memory) limited(r *Record) bool {
	return m.triggers.value(r.trigger).Once || m.policies.value(r.policy).MaxRuns > 0
}
