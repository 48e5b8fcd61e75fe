package outbox

import (
	"context"

	"github.com/tactus-dev/tactus/domain"
)

// Invalidate records that a schedule, as of the version that was read, cannot be scheduled, and why. It is for whoever
// reads schedules that were written where not all of a definition can be checked (SQL, an adopted table). A schedule
// that has changed since is left alone (domain.ErrVersionConflict): it will be read again.
func (s *Store) Invalidate(ctx context.Context, id domain.ID, version int64, reason string) error {
	before, err := Get(ctx, s.pool, id)
	if err != nil {
		return err
	}
	if before.Version != version {
		return domain.ErrVersionConflict
	}
	_, err = s.writer().decideAny(ctx, before, func(s domain.Schedule) (domain.Change, bool, error) {
		c, changed := s.Invalidate(reason)
		return c, changed, nil
	})
	return err
}
