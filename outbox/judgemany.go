package outbox

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/claims"
	"github.com/tactus-dev/tactus/internal/postgres"
)

// writtenBySQL is a schedule that has not been judged.
type writtenBySQL struct {
	ID      domain.ID
	Version int64
	Waits   bool  // it does not fire until somebody has
	Size    int64 // of its definition, in bytes
}

func idsOf(written []writtenBySQL) []domain.ID {
	ids := make([]domain.ID, len(written))
	for i, w := range written {
		ids[i] = w.ID
	}
	return ids
}

// How many schedules, and how many bytes of them, are judged together.
const (
	mostTogether = 1000
	bytesAtOnce  = 16 << 20
	togetherFor  = 30 * time.Second
)

const (
	// Locked rows are skipped; the statement's own locks, which serve only to find them, end with it. A version below
	// zero marks a schedule that was judged when it was written, and is judged again (see lookAgain). $1 are the
	// schedules already known to be doubtful.
	unjudged = `
with next as materialized (
    select u.schedule_id, u.version, u.version > 0 and strpos(s.task::text, '"stream"') > 0 as waits, s.updated_at
    from tactus.unjudged u join tactus.schedules s on s.id = u.schedule_id
    where (u.version > 0 or s.updated_at < clock_timestamp() - interval '1500 milliseconds')
        and not exists (select from unnest($1::uuid[]) d (id) where d.id = u.schedule_id)
    order by waits desc, s.updated_at, u.schedule_id
    limit 1000 for no key update of s skip locked
)
select n.schedule_id, n.version, n.waits, octet_length(s.definition::text)::bigint
from next n join tactus.schedules s on s.id = n.schedule_id
order by n.waits desc, n.updated_at, n.schedule_id`

	judged = `
delete from tactus.unjudged u using unnest($1::uuid[], $2::bigint[]) j (id, version)
where u.schedule_id = j.id and u.version = j.version`
)

var schedulesByIDs = selectSchedule + `id = any ($1::uuid[])`

// nextUnjudged returns the next schedules to be judged together, and whether there are more. Those that fire meanwhile
// are not judged together with those that wait for it.
func (s *Store) nextUnjudged(ctx context.Context, but []domain.ID) (batch []writtenBySQL, more bool, err error) {
	batch, err = postgres.Collect(ctx, s.pool, pgx.RowToStructByPos[writtenBySQL], unjudged, but)
	if err != nil || len(batch) == 0 {
		return nil, false, err
	}
	var size int64
	n := slices.IndexFunc(batch, func(w writtenBySQL) bool {
		size += w.Size
		return w.Waits != batch[0].Waits || size > bytesAtOnce && size > w.Size
	})
	if n < 0 {
		return batch, len(batch) == mostTogether, nil
	}
	return batch[:n], true, nil
}

// judgeTogether judges several schedules with the number of statements that one would take. It returns those that are,
// or may be, faulty. A schedule that PostgreSQL cannot read makes all of them doubtful.
func (s *Store) judgeTogether(ctx context.Context, batch []writtenBySQL) (doubtful []writtenBySQL, err error) {
	if len(batch) == 0 {
		return nil, nil
	}
	s.streams.forget() // another process may have written one since
	ctx, cancel := context.WithTimeout(ctx, togetherFor)
	defer cancel()
	wrong, err := s.wrongOf(ctx, idsOf(batch))
	if postgres.RefusedData(err) {
		return batch, nil
	}
	if err != nil {
		return nil, err
	}
	var sound []writtenBySQL
	for _, w := range batch {
		if wrong[w.ID] {
			doubtful = append(doubtful, w)
		} else {
			sound = append(sound, w)
		}
	}
	return doubtful, s.forgetUnjudged(ctx, sound)
}

func (s *Store) forgetUnjudged(ctx context.Context, all []writtenBySQL) error {
	versions := make([]int64, len(all))
	for i, w := range all {
		versions[i] = w.Version
	}
	_, err := s.pool.Exec(ctx, judged, idsOf(all), versions)
	return err
}

// wrongOf returns which schedules have a fault that nobody has recorded.
func (s *Store) wrongOf(ctx context.Context, ids []domain.ID) (map[domain.ID]bool, error) {
	all, err := postgres.Collect(ctx, s.pool, scheduleRow, schedulesByIDs, ids)
	if err != nil {
		return nil, err
	}
	wrong := map[domain.ID]bool{}
	streams, queues := map[string][]domain.ID{}, map[string][]domain.ID{}
	for _, written := range all {
		if written.InvalidReason != "" {
			continue
		}
		normal, faults, err := s.faultsOf(written)
		switch {
		case err != nil || len(faults) > 0:
			wrong[written.ID] = true
		case normal.Stream != "":
			streams[normal.Stream] = append(streams[normal.Stream], written.ID)
		case normal.Queue != "":
			queues[normal.Queue] = append(queues[normal.Queue], written.ID)
		}
	}
	taken, err := s.takenOf(ctx, streams)
	if err != nil {
		return nil, err
	}
	claimed, err := claims.Claimed(ctx, s.pool, namesOf(queues))
	if err != nil {
		return nil, err
	}
	for _, name := range taken {
		for _, id := range streams[name] {
			wrong[id] = true
		}
	}
	for name := range claimed {
		for _, id := range queues[name] {
			wrong[id] = true
		}
	}
	return wrong, nil
}

func namesOf(of map[string][]domain.ID) []string {
	names := make([]string, 0, len(of))
	for name := range of {
		names = append(names, name)
	}
	return names
}

// takenOf returns which of some streams nothing may be handed over to, as judgeName does for one. of has the schedules
// that go to each stream.
func (s *Store) takenOf(ctx context.Context, of map[string][]domain.ID) (taken []string, err error) {
	has, err := claims.Claimed(ctx, s.pool, namesOf(of))
	if err != nil {
		return nil, err
	}
	var used, asked []string
	var ids []domain.ID
	for name, schedules := range of {
		if has[name].Held {
			used, ids = append(used, name), append(ids, schedules...)
		} else {
			asked = append(asked, name)
		}
	}
	if len(used) > 0 {
		if err := claims.JudgeQueues(ctx, s.pool, claims.QueuesOf(used)); err != nil {
			return nil, err
		}
		if err := claims.Share(ctx, s.pool, used, ids); err != nil {
			return nil, err
		}
	}
	return claims.QueuesOfOthers(ctx, s.pool, asked)
}
