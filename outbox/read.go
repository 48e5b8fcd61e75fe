package outbox

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// Get returns a living schedule, or domain.ErrNotFound.
func Get(ctx context.Context, q Querier, id domain.ID) (domain.Schedule, error) {
	return one(ctx, q, scheduleByID, id)
}

// GetByName returns the living schedule of that name, or domain.ErrNotFound.
//
// The statement is planned each time: a plan that is kept is made while the table is small, when any index serves as
// well, and then reads the whole table for each of the thousands of schedules that one transaction may write.
func GetByName(ctx context.Context, q Querier, name string) (domain.Schedule, error) {
	return one(ctx, q, scheduleByName, pgx.QueryExecModeCacheDescribe, name)
}

var selectSchedule = `
select id, version, name, definition, coalesce(invalid_reason, case when (` + sqlexpr.BeyondYears("created_at", "updated_at", "effective_from", "trigger_set_at") + `) then '` + sqlexpr.NotInYears + `' end, ''),
    coalesce(managed_by, ''), ` + sqlexpr.InYears("created_at") + `, ` + sqlexpr.InYears("updated_at") + `, ` + sqlexpr.InYears("effective_from") + `, ` + sqlexpr.InYears("trigger_set_at") + `,
    ` + sqlexpr.Halt("") + `
from tactus.schedules where deleted_at is null and `

var (
	scheduleByID   = selectSchedule + `id = $1`
	scheduleByName = selectSchedule + `name = $1`
)

func one(ctx context.Context, q Querier, sql string, args ...any) (domain.Schedule, error) {
	found, err := postgres.Collect(ctx, q, scheduleRow, sql, args...)
	if err != nil {
		return domain.Schedule{}, fmt.Errorf("read schedule: %w", err)
	}
	if len(found) == 0 {
		return domain.Schedule{}, domain.ErrNotFound
	}
	return found[0], nil
}

// scheduleRow makes a schedule of the columns of selectSchedule. A definition that cannot be read, as only SQL can
// write it, leaves a schedule that has its name, and is invalid for that.
func scheduleRow(row pgx.CollectableRow) (domain.Schedule, error) {
	var s domain.Schedule
	var name string
	var definition []byte
	var times [4]time.Time
	var halt sqlexpr.HaltRow
	if err := row.Scan(&s.ID, &s.Version, &name, &definition, &s.InvalidReason, &s.ManagedBy, &times[0], &times[1], &times[2], &times[3],
		&halt.PausedAt, &halt.PausedUntil, &halt.SkipUntil, &halt.CompletedAt,
		&halt.PausedBy, &halt.PauseReason, &halt.PauseGroup, &halt.SkippedBy, &halt.SkipReason); err != nil {
		return s, err
	}
	s.Halt = halt.Halt()
	s.CreatedAt, s.UpdatedAt, s.EffectiveFrom, s.TriggerSetAt = times[0].UTC(), times[1].UTC(), times[2].UTC(), times[3].UTC()
	err := json.Unmarshal(definition, &s.Definition)
	if err == nil && string(bytes.TrimSpace(definition)) == "null" {
		err = errors.New("it is null")
	}
	if err != nil {
		s.Definition = domain.Definition{Name: name}
		s.InvalidReason = cmp.Or(s.InvalidReason, fmt.Sprintf("the definition cannot be read: %v", err))
	}
	return s, nil
}
