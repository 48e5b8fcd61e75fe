package catalog

import (
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/postgres"
)

// haltRow has the columns of sqlexpr.Halt.
type haltRow struct {
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

func (r haltRow) halt() domain.Halt {
	return domain.Halt{
		PausedAt: postgres.OrZero(r.PausedAt), PausedUntil: postgres.OrZero(r.PausedUntil),
		PausedBy: r.PausedBy, PauseReason: r.PauseReason, PauseGroup: r.PauseGroup,
		SkipUntil: postgres.OrZero(r.SkipUntil), SkippedBy: r.SkippedBy, SkipReason: r.SkipReason,
		CompletedAt: postgres.OrZero(r.CompletedAt),
	}
}
