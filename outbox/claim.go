package outbox

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// Writers refuse names of neighbours (see neighbours), but two transactions do not see each other, and an adopted row
// cannot be refused. So before anything is handed over to a stream its name is claimed, in a transaction of its own, if
// no schedule and no route has a queue of it. From then on nothing goes to a queue of that name, as long as a
// schedule that claimed it may fire. A claim therefore decides who came first, for all processes.
const (
	// claimed are those of some names that a schedule has claimed and still goes to, with one that has.
	claimed = `
select distinct on (c.name) c.name, s.id from tactus.stream_claims c join tactus.schedules s on s.id = c.schedule_id
where c.name = any ($1::text[]) and ` + mayFire + ` and ` + sqlexpr.TaskStream + ` = c.name`

	// claim claims a stream ($4) for all schedules that go to it, unless its queue ($1) is another's. It returns
	// whether it is.
	claim = `
with queue as materialized (select (` + queueOfOther + `) as taken, $4::text as stream),
claims as (
    insert into tactus.stream_claims (schedule_id, name)
    select s.id, stream from queue, tactus.schedules s
    where not taken and ` + mayFire + ` and ` + sqlexpr.TaskStream + ` = stream
    on conflict (schedule_id) do update set name = excluded.name where stream_claims.name <> excluded.name
)
select taken from queue`

	// noteQueues has those judged that have a queue. An adopted row would become valid again as soon as it is compared.
	noteQueues = `
insert into tactus.unjudged (schedule_id, version)
select s.id, -s.version from tactus.schedules s where ` + ofQueue + ` and s.managed_by is null limit 100
on conflict (schedule_id) do nothing`

	// noteRuns has those judged whose runs are refused.
	noteRuns = `
insert into tactus.unjudged (schedule_id, version)
select distinct s.id, -s.version from tactus.runs r join tactus.schedules s on s.id = r.schedule_id
where r.id = any ($1::uuid[]) and s.deleted_at is null and s.managed_by is null and s.invalid_reason is null
on conflict (schedule_id) do nothing
returning true`

	// noteUnclaimed has those judged whose streams are not claimed.
	noteUnclaimed = `
insert into tactus.unjudged (schedule_id, version)
select s.id, -s.version from tactus.schedules s where ` + mayFire + `
    and not exists (select from tactus.stream_claims c where c.schedule_id = s.id and c.name = ` + sqlexpr.TaskStream + `)
    and ` + sqlexpr.TaskStream + ` is not null limit 1000
on conflict (schedule_id) do nothing`

	forgetClaims = `
delete from tactus.stream_claims c using tactus.schedules s where s.id = c.schedule_id and s.deleted_at is not null`
)

// Claimed returns those of some names that are streams, each with a schedule that goes to it: nothing may be handed over
// to a queue of such a name.
func Claimed(ctx context.Context, q Querier, names []string) (map[string]domain.ID, error) {
	rows, err := postgres.Collect(ctx, q, pgx.RowToStructByPos[struct {
		Name string
		Of   domain.ID
	}], claimed, names)
	if err = unlessMissing(err); err != nil {
		return nil, fmt.Errorf("read who has claimed names of streams: %w", err)
	}
	of := map[string]domain.ID{}
	for _, row := range rows {
		of[row.Name] = row.Of
	}
	return of, nil
}

// Claim claims the name of a stream, whose queue would have the other name. It reports whether something may be handed
// over to it.
func Claim(ctx context.Context, q Querier, stream, queue string) (bool, error) {
	has, err := Claimed(ctx, q, []string{stream})
	if err != nil || len(has) > 0 {
		return err == nil, err
	}
	taken, err := postgres.Collect(ctx, q, pgx.RowTo[bool], claim, pgx.QueryExecModeExec, queue, domain.ID{},
		plainPart(queue), stream)
	if err = unlessMissing(err); err != nil {
		return false, fmt.Errorf("claim the stream %q: %w", stream, err)
	}
	return len(taken) == 0 || !taken[0], nil
}

// Refused has schedules judged whose runs are not handed over, because a name is another's.
func Refused(ctx context.Context, q Querier, runs []domain.ID) error {
	_, err := postgres.Collect(ctx, q, pgx.RowTo[bool], noteRuns, runs)
	return unlessMissing(err)
}

// unlessMissing passes over that there is no table of claims: the database is not migrated yet.
func unlessMissing(err error) error {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code == "42P01" {
		return nil
	}
	return err
}

// queueOf is the queue that a stream would be: lists of a queue have a priority at their end.
func queueOf(stream string) string {
	queue, _, _ := strings.Cut(stream, prioritySeparator)
	return queue
}

// ClaimStreams has all schedules judged whose streams nobody has claimed, such as those that were written in a
// transaction of somebody else's, and forgets the claims of what is deleted.
func (s *Store) ClaimStreams(ctx context.Context) error {
	for _, sql := range []string{noteUnclaimed, forgetClaims} {
		if _, err := s.pool.Exec(ctx, sql); unlessMissing(err) != nil {
			return fmt.Errorf("look for streams that nobody has claimed: %w", err)
		}
	}
	return nil
}

// judgeName is what a schedule is refused for when it has been written: its stream is a queue, or its queue has been
// claimed as a stream. Who has claimed a stream keeps it, and those that have a queue of its name are judged.
func (s *Store) judgeName(ctx context.Context, d domain.Definition) error {
	switch {
	case d.Stream != "":
		queue := queueOf(d.Stream)
		may, err := Claim(ctx, s.pool, d.Stream, queue)
		if err == nil && may {
			_, err = s.pool.Exec(ctx, noteQueues, queue, domain.ID{}, plainPart(queue))
			return err
		}
		return other(!may, err, "/stream", isQueue, queue)
	case d.Queue != "":
		taken, err := Claimed(ctx, s.pool, []string{d.Queue})
		return other(len(taken) > 0, err, "/queue", isStream, d.Queue)
	}
	return nil
}
