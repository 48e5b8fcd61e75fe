package verify

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/cursor"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// readIdle selects enabled schedules of which no due time is recorded, and whose due times may all be in the past:
// one-shots, and schedules that end. All others always have a next due time.
var readIdle = `
select s.id, s.version, s.trigger, (` + sqlexpr.InYears("s.anchor") + `), s.policy, ` + sqlexpr.InYears("s.effective_from") + `, s.managed_by is not null from tactus.schedules s
where s.enabled and s.deleted_at is null and (s.trigger = '{"once":true}' or s.policy like '%"ends_at":%')
    and not exists (select from tactus.runs r where r.schedule_id = s.id and r.kind = 'scheduled')
    and not exists (select from tactus.schedule_counts n where n.schedule_id = s.id and n.fired > 0)`

type idle struct {
	ID        domain.ID
	Version   int64
	Trigger   string
	Anchor    *time.Time
	Policy    string
	Effective time.Time
	Adopted   bool
}

// expired reports whether a row of an adopted table had ended before it was adopted. The row itself says so, and its
// own beat does not fire it any more either.
func (i idle) expired(p domain.Policy) bool {
	return i.Adopted && !p.EndsAt.IsZero() && !p.EndsAt.After(i.Effective)
}

// due reports whether the schedule has a due time after effective_from. It returns true for what it cannot parse,
// because other checks report that.
func (i idle) due() bool {
	policy, err := domain.ParsePolicy(i.Policy)
	if err != nil || i.expired(policy) {
		return true
	}
	trigger, err := domain.ParseTrigger(i.Trigger)
	if err != nil {
		return true
	}
	var anchor time.Time
	if i.Anchor != nil {
		anchor = *i.Anchor
	}
	recurrence, err := trigger.Recurrence(anchor)
	if err != nil {
		return true
	}
	_, ok := policy.Next(recurrence, i.Effective)
	return ok
}

// lookForIdle reports schedules that were accepted and are enabled, but have neither a due time, nor a run, nor a
// reason.
func (c *checker) lookForIdle(ctx context.Context, tx pgx.Tx) error {
	for i, err := range cursor.Rows[idle](ctx, tx, "idle", readIdle) {
		if err != nil {
			return fmt.Errorf("look for schedules that are never due: %w", err)
		}
		if !i.due() {
			c.problem(Problem{Kind: NeverDue, ScheduleID: i.ID, Version: i.Version},
				"the schedule is enabled, but has no due time after %s, and neither a run nor a reason", stamp(&i.Effective))
		}
	}
	return nil
}
