package claims

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

const (
	// heldSQL reads those of some names that a schedule has claimed and still goes to, with one that has.
	heldSQL = `
select distinct on (c.name) c.name, s.id from tactus.stream_claims c join tactus.schedules s on s.id = c.schedule_id
where c.name = any ($1::text[]) and ` + mayFire + ` and ` + sqlexpr.TaskStream + ` = c.name`

	// claimedSQL reads those, and the names of which a stream was made in Redis.
	claimedSQL = `
with held as materialized (` + heldSQL + `), keys as (
    select k.name, k.schedule_id from tactus.stream_keys k where k.name = any ($1::text[])
)
select coalesce(held.name, keys.name), coalesce(held.id, keys.schedule_id), held.name is not null, keys.name is not null
from held full join keys on keys.name = held.name`

	// claimedBeforeSQL is claimedSQL of a database in which nobody notes the keys.
	claimedBeforeSQL = `select held.name, held.id, true, true from (` + heldSQL + `) held`

	// claimSQL claims a stream ($4) for all schedules that go to it, and notes its key, unless its queue ($1) is
	// another's. It returns whether it is.
	claimSQL = `
with queue as materialized (select (` + queueOfOtherSQL + `) as taken, $4::text as stream),
claims as (
    insert into tactus.stream_claims (schedule_id, name)
    select s.id, stream from queue, tactus.schedules s
    where not taken and ` + mayFire + ` and ` + sqlexpr.TaskStream + ` = stream
    on conflict (schedule_id) do update set name = excluded.name where stream_claims.name <> excluded.name
),
keys as (
    insert into tactus.stream_keys (name, schedule_id)
    select stream, (select s.id from tactus.schedules s where ` + maySend + ` and ` + sqlexpr.TaskStream + ` = stream
        order by s.id limit 1)
    from queue where not taken
    on conflict (name) do update set noted_at = excluded.noted_at,
        schedule_id = coalesce(stream_keys.schedule_id, excluded.schedule_id)
)
select taken from queue`

	// shareSQL has schedules ($2) claim those of some streams ($1) that are claimed.
	shareSQL = `
with used as materialized (select name from (` + heldSQL + `) of)
insert into tactus.stream_claims (schedule_id, name)
select s.id, used.name from used join tactus.schedules s on ` + sqlexpr.TaskStream + ` = used.name
where s.id = any ($2::uuid[]) and ` + mayFire + `
on conflict (schedule_id) do update set name = excluded.name where stream_claims.name <> excluded.name`

	forgetDeletedSQL = `
delete from tactus.stream_claims c using tactus.schedules s where s.id = c.schedule_id and s.deleted_at is not null`
)

// Holder is whose the name of a stream is.
type Holder struct {
	Of   *domain.ID // a schedule that goes there, or that went there; nil if none is known any more
	Held bool       // it may fire: nothing is handed over to a queue of that name
	Key  bool       // a stream of that name was made in Redis, and nobody has seen since that it is gone
}

// Claimed returns those of some names that are streams.
func Claimed(ctx context.Context, q postgres.Querier, names []string) (map[string]Holder, error) {
	if len(names) == 0 {
		return nil, nil
	}
	type row struct {
		Name string
		Holder
	}
	read := func(sql string) ([]row, error) {
		return postgres.Collect(ctx, q, func(r pgx.CollectableRow) (of row, err error) {
			return of, r.Scan(&of.Name, &of.Of, &of.Held, &of.Key)
		}, sql, names)
	}
	rows, err := read(claimedSQL)
	if postgres.Code(err) == undefinedTable {
		rows, err = read(claimedBeforeSQL)
	}
	if err = unlessMissing(err); err != nil {
		return nil, fmt.Errorf("read who has claimed names of streams: %w", err)
	}
	of := map[string]Holder{}
	for _, row := range rows {
		of[row.Name] = row.Holder
	}
	return of, nil
}

// Claim claims the name of a stream, whose queue would have the other name. It reports whether something may be handed
// over to it.
func Claim(ctx context.Context, q postgres.Querier, stream, queue string) (bool, error) {
	has, err := Claimed(ctx, q, []string{stream})
	if of := has[stream]; err != nil || of.Held && of.Key {
		return err == nil, err
	}
	return claim(ctx, q, claimSQL, stream, queue, has[stream].Held)
}

// nobody is no schedule's.
var nobody domain.ID

func claim(ctx context.Context, q postgres.Querier, sql, stream, queue string, held bool) (bool, error) {
	taken, err := postgres.Collect(ctx, q, pgx.RowTo[bool], sql, pgx.QueryExecModeExec, queue, nobody, plainPart(queue),
		stream)
	if err = unlessMissing(err); err != nil {
		return false, fmt.Errorf("claim the stream %q: %w", stream, err)
	}
	return len(taken) == 0 || !taken[0] || held, nil
}

// Share claims those of some streams that are claimed for the schedules that go to them, too.
func Share(ctx context.Context, q postgres.Querier, streams []string, of []domain.ID) error {
	return execute(ctx, q, "share the claims of streams", shareSQL, streams, of)
}

// ForgetDeleted forgets the claims of deleted schedules.
func ForgetDeleted(ctx context.Context, q postgres.Querier) error {
	return execute(ctx, q, "forget the claims of what is deleted", forgetDeletedSQL)
}

func execute(ctx context.Context, q postgres.Querier, what, sql string, args ...any) error {
	_, err := postgres.Collect(ctx, q, pgx.RowTo[bool], sql, args...)
	if err = unlessMissing(err); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

const undefinedTable = "42P01"

// unlessMissing passes over that there is no table of claims: the database is not migrated yet.
func unlessMissing(err error) error {
	if postgres.Code(err) == undefinedTable {
		return nil
	}
	return err
}
