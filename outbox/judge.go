package outbox

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
)

// Judge looks at what SQL wrote since it was last asked, and records of what it would have refused itself why it cannot be
// scheduled: names of zones, windows in which nothing is due, what no worker reads. It returns how many those are. Several may
// judge at once: what one has recorded, the others find known.
func (s *Store) Judge(ctx context.Context) (invalid int, err error) {
	rows, err := s.pool.Query(ctx, unjudged)
	if err != nil {
		return 0, fmt.Errorf("read what is not judged: %w", err)
	}
	written, err := pgx.CollectRows(rows, pgx.RowToStructByPos[writtenBySQL])
	if err != nil {
		return 0, fmt.Errorf("read what is not judged: %w", err)
	}
	for _, w := range written {
		found, err := s.judge(ctx, w.ID)
		if errors.Is(err, domain.ErrVersionConflict) {
			continue // it has changed since: the next time
		}
		if err != nil {
			return invalid, err
		}
		if found {
			invalid++
		}
		if _, err := s.pool.Exec(ctx, judged, w.ID, w.Version); err != nil {
			return invalid, fmt.Errorf("judge: %w", err)
		}
	}
	return invalid, nil
}

type writtenBySQL struct {
	ID      domain.ID
	Version int64
}

const (
	unjudged = `select schedule_id, version from tactus.unjudged limit 100`
	judged   = `delete from tactus.unjudged where schedule_id = $1 and version = $2`
)

// judge records the faults of a schedule, and reports whether there are any that were not known.
func (s *Store) judge(ctx context.Context, id domain.ID) (bool, error) {
	written, err := s.Get(ctx, id)
	if errors.Is(err, domain.ErrNotFound) {
		return false, nil
	}
	if err != nil || written.InvalidReason != "" {
		return false, err
	}
	normal, _, err := written.Normalize(domain.Context{ID: id, Timezone: s.timezone, Now: written.TriggerSetAt, Check: s.check})
	if err == nil {
		err = s.writer().neighbours(ctx, normal, id)
	}
	if err != nil && domain.FaultsOf(err) == nil {
		return false, err
	}
	faults := slices.DeleteFunc(slices.Clone(domain.FaultsOf(err)), func(f *domain.Error) bool {
		return f.Code == "at_in_past" // whether it is, the statement that wrote it has decided
	})
	if len(faults) == 0 {
		return false, nil
	}
	return true, s.Invalidate(ctx, id, written.Version, faults.Error())
}
