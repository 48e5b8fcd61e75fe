package outbox

import (
	"time"

	"github.com/tactus-dev/tactus/domain"
)

const (
	// A schedule that is created disabled is paused from then on. It does not fire, so that it is never past.
	insertPaused            = insertRow + pausedColumns + insertValues + pausedValues + always + lockWait + changed
	insertPausedUnlessTaken = insertRow + pausedColumns + insertValues + pausedValues + always + unlessTaken + changed

	pausedColumns = `, paused_at, paused_by, pause_reason`
	pausedValues  = `, statement_timestamp(), @paused_by::text, @pause_reason::text`

	haltSchedule     = updateRow + effectiveAt + halt + ofVersion + changed
	haltUntilPast    = updateRow + effectiveAt + halt + ofVersion + untilPast + changed
	haltOwn          = updateRow + effectiveAt + halt + ofVersion + lockWait + changed
	haltOwnUntilPast = updateRow + effectiveAt + halt + ofVersion + lockWait + untilPast + changed

	effectiveAt = `coalesce(@effective_at::timestamptz, statement_timestamp()) else effective_from end`

	// halt writes what keeps the schedule from firing. A change that leaves all of it alone does not name the columns.
	halt = `,
        paused_at = case when @pauses then statement_timestamp() else @paused_at::timestamptz end,
        paused_until = @paused_until, paused_by = @paused_by, pause_reason = @pause_reason, pause_group = @pause_group,
        skip_until = @skip_until, skipped_by = @skipped_by, skip_reason = @skip_reason, completed_at = @completed_at`
)

// haltingChange returns the SQL of a change that pauses a schedule or skips due times, or ends that.
func (f form) haltingChange() string {
	if f.creates {
		return f.choose(insertPausedUnlessTaken, insertPausedUnlessTaken, insertPaused, insertPaused)
	}
	return f.choose(haltSchedule, haltUntilPast, haltOwn, haltOwnUntilPast)
}

// haltMembers returns the members of an event's data that tell why the schedule does not fire.
func haltMembers(c domain.Change) string {
	if !c.Pauses && c.After.Halt == (domain.Halt{}) {
		return ""
	}
	h := c.After.Halt
	paused := moment("paused_at", h.PausedAt)
	if c.Pauses {
		paused = `,"paused_at":"` + timeOfChange + `"`
	}
	return paused + moment("paused_until", h.PausedUntil) + member("paused_by", h.PausedBy) +
		member("pause_reason", h.PauseReason) + member("pause_group", h.PauseGroup) +
		moment("skip_until", h.SkipUntil) + member("skipped_by", h.SkippedBy) + member("skip_reason", h.SkipReason) +
		moment("completed_at", h.CompletedAt)
}

// moment returns a member of a JSON object with a time; nothing when the time is zero.
func moment(name string, at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return member(name, at.UTC().Format(micros))
}
