package outbox

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// writtenBySQL is a schedule that nobody has looked at.
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

// What is judged together.
const (
	mostTogether = 1000
	bytesAtOnce  = 16 << 20
	togetherFor  = 30 * time.Second
)

const (
	// What is locked is not read. The locks that this takes end with the statement: they only ask. A version below zero
	// was judged as it was written, and is looked at again (see lookAgain). $1 are those that are known to be doubtful.
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

	// claimMany claims streams ($1) as claim claims one, unless their queues ($2) are another's. It returns those that
	// are. It looks at each schedule once, however many streams there are.
	claimMany = `
with asked as materialized (
    select a.name, q.queue is not null
        or exists (select from tactus.routes r where r.deleted_at is null and r.queue = a.queue) as taken
    from unnest($1::text[], $2::text[]) a (name, queue)
    left join (
        select distinct ` + sqlexpr.ReadableTask + `->>'queue' as queue from tactus.schedules s
        where s.deleted_at is null and strpos(s.task::text, '"queue":') > 0 and ` + hasName + `
    ) q on q.queue = a.queue
),
claims as (
    insert into tactus.stream_claims (schedule_id, name)
    select s.id, a.name from asked a join tactus.schedules s on ` + sqlexpr.TaskStream + ` = a.name
    where not a.taken and ` + mayFire + `
    on conflict (schedule_id) do update set name = excluded.name where stream_claims.name <> excluded.name
)
select name from asked where taken`

	// noteQueuesOfMany is noteQueues for many queues ($1).
	noteQueuesOfMany = `
insert into tactus.unjudged (schedule_id, version)
select s.id, -s.version from tactus.schedules s
where s.deleted_at is null and strpos(s.task::text, '"queue":') > 0 and s.managed_by is null and ` + hasName + `
    and ` + sqlexpr.ReadableTask + `->>'queue' = any ($1::text[]) limit 1000
on conflict (schedule_id) do nothing`
)

var schedulesByIDs = selectSchedule + `id = any ($1::uuid[])`

// nextUnjudged returns what is to be judged together, and whether there is more. What does not wait is not judged
// together with what does.
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

// judgeTogether judges schedules in as many statements as one would take, and returns those with which something is
// wrong, or may be. One that PostgreSQL refuses to read makes all of them doubtful.
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

// wrongOf returns those schedules with which something is wrong that nobody has recorded.
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
	taken, err := s.claimAll(ctx, namesOf(streams))
	if err != nil {
		return nil, err
	}
	claimed, err := claimedQueues(ctx, s.pool, namesOf(queues))
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

// claimAll claims streams as Claim claims one, and has those judged that have queues of their names. It returns the
// streams to which nothing may be handed over.
func (s *Store) claimAll(ctx context.Context, streams []string) (taken []string, err error) {
	if len(streams) == 0 {
		return nil, nil
	}
	has, err := Claimed(ctx, s.pool, streams)
	if err != nil {
		return nil, err
	}
	asked := slices.DeleteFunc(slices.Clone(streams), func(name string) bool { _, known := has[name]; return known })
	if len(asked) > 0 {
		taken, err = postgres.Collect(ctx, s.pool, pgx.RowTo[string], claimMany, pgx.QueryExecModeExec, asked, queuesOf(asked))
		if err = unlessMissing(err); err != nil {
			return nil, fmt.Errorf("claim streams: %w", err)
		}
	}
	may := slices.DeleteFunc(slices.Clone(streams), func(name string) bool { return slices.Contains(taken, name) })
	if len(may) > 0 {
		_, err = s.pool.Exec(ctx, noteQueuesOfMany, queuesOf(may))
	}
	return taken, err
}

func claimedQueues(ctx context.Context, q Querier, queues []string) (map[string]domain.ID, error) {
	if len(queues) == 0 {
		return nil, nil
	}
	return Claimed(ctx, q, queues)
}

func queuesOf(streams []string) []string {
	queues := make([]string, len(streams))
	for i, name := range streams {
		queues[i] = queueOf(name)
	}
	return queues
}
