package sqlexpr

import (
	"strings"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/postgres"
)

// Halt is the columns of tactus.schedules that tell what keeps a schedule from firing: four times, drawn into the
// years that every program reads, and five texts, empty for null. table is the table's alias with its dot, or nothing.
func Halt(table string) string {
	return strings.ReplaceAll(InYears("$paused_at")+`, `+InYears("$paused_until")+`, `+InYears("$skip_until")+`, `+InYears("$completed_at")+`,
    coalesce($paused_by, ''), coalesce($pause_reason, ''), coalesce($pause_group, ''), coalesce($skipped_by, ''), coalesce($skip_reason, '')`,
		"$", table)
}

// HaltRow has the columns of Halt, in their order.
type HaltRow struct {
	PausedAt    *time.Time
	PausedUntil *time.Time
	SkipUntil   *time.Time
	CompletedAt *time.Time
	PausedBy    string
	PauseReason string
	PauseGroup  string
	SkippedBy   string
	SkipReason  string
}

// HaltRowOf returns the columns for what keeps a schedule from firing.
func HaltRowOf(h domain.Halt) HaltRow {
	return HaltRow{
		postgres.OrNull(h.PausedAt), postgres.OrNull(h.PausedUntil), postgres.OrNull(h.SkipUntil), postgres.OrNull(h.CompletedAt),
		h.PausedBy, h.PauseReason, h.PauseGroup, h.SkippedBy, h.SkipReason,
	}
}

// Halt returns what the columns say.
func (r HaltRow) Halt() domain.Halt {
	return domain.Halt{
		PausedAt: postgres.OrZero(r.PausedAt), PausedUntil: postgres.OrZero(r.PausedUntil),
		PausedBy: r.PausedBy, PauseReason: r.PauseReason, PauseGroup: r.PauseGroup,
		SkipUntil: postgres.OrZero(r.SkipUntil), SkippedBy: r.SkippedBy, SkipReason: r.SkipReason,
		CompletedAt: postgres.OrZero(r.CompletedAt),
	}
}
