package outbox

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/postgres"
)

const dataOfVersion = `
select data from tactus.outbox where topic = 'schedule' and aggregate_id = $1 and version = $2::bigint
order by position desc limit 1`

// Revert gives a living schedule the definition that it had as of a former version: that makes a new version. version
// is the one the caller has read (If-Match), or 0 for any.
func (s *Store) Revert(ctx context.Context, id domain.ID, version, to int64) (domain.Schedule, error) {
	data, err := postgres.Collect(ctx, s.pool, pgx.RowTo[[]byte], dataOfVersion, id, to)
	if err != nil {
		return domain.Schedule{}, fmt.Errorf("read version %d: %w", to, err)
	}
	var former domain.Schedule
	if len(data) > 0 {
		former, err = domain.Apply(domain.Schedule{ID: id, Version: to - 1},
			domain.Event{ScheduleID: id, Version: to, Data: data[0]})
		if err != nil {
			return domain.Schedule{}, fmt.Errorf("read version %d: %w", to, err)
		}
	}
	w := s.writer()
	after, err := w.update(ctx, id, version, func(before domain.Schedule) (domain.Change, bool, error) {
		if len(data) == 0 {
			return domain.Change{}, false, &domain.Error{
				Kind: domain.NotFound, Code: "version_unknown", Field: "/version",
				Message: fmt.Sprintf("the log has no version %d of this schedule", to),
			}
		}
		return w.redefine(ctx, former.Definition)(before)
	})
	if err == nil {
		s.lookAgain(ctx, after)
	}
	return after, err
}
