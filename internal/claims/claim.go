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
	// claimedSQL reads those of some names that a schedule has claimed and still goes to, with one that has.
	claimedSQL = `
select distinct on (c.name) c.name, s.id from tactus.stream_claims c join tactus.schedules s on s.id = c.schedule_id
where c.name = any ($1::text[]) and ` + mayFire + ` and ` + sqlexpr.TaskStream + ` = c.name`

	// claimSQL claims a stream ($4) for all schedules that go to it, unless its queue ($1) is another's. It returns
	// whether it is.
	claimSQL = `
with queue as materialized (select (` + queueOfOtherSQL + `) as taken, $4::text as stream),
claims as (
    insert into tactus.stream_claims (schedule_id, name)
    select s.id, stream from queue, tactus.schedules s
    where not taken and ` + mayFire + ` and ` + sqlexpr.TaskStream + ` = stream
    on conflict (schedule_id) do update set name = excluded.name where stream_claims.name <> excluded.name
)
select taken from queue`

	// shareSQL has schedules ($2) claim those of some streams ($1) that are claimed.
	shareSQL = `
with used as materialized (select name from (` + claimedSQL + `) of)
insert into tactus.stream_claims (schedule_id, name)
select s.id, used.name from used join tactus.schedules s on ` + sqlexpr.TaskStream + ` = used.name
where s.id = any ($2::uuid[]) and ` + mayFire + `
on conflict (schedule_id) do update set name = excluded.name where stream_claims.name <> excluded.name`

	forgetDeletedSQL = `
delete from tactus.stream_claims c using tactus.schedules s where s.id = c.schedule_id and s.deleted_at is not null`
)

// Claimed returns those of some names that are streams, each with a schedule that goes to it: nothing may be handed
// over to a queue of such a name.
func Claimed(ctx context.Context, q postgres.Querier, names []string) (map[string]domain.ID, error) {
	if len(names) == 0 {
		return nil, nil
	}
	rows, err := postgres.Collect(ctx, q, pgx.RowToStructByPos[struct {
		Name string
		Of   domain.ID
	}], claimedSQL, names)
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
func Claim(ctx context.Context, q postgres.Querier, stream, queue string) (bool, error) {
	has, err := Claimed(ctx, q, []string{stream})
	if err != nil || len(has) > 0 {
		return err == nil, err
	}
	taken, err := postgres.Collect(ctx, q, pgx.RowTo[bool], claimSQL, pgx.QueryExecModeExec, queue, domain.ID{},
		plainPart(queue), stream)
	if err = unlessMissing(err); err != nil {
		return false, fmt.Errorf("claim the stream %q: %w", stream, err)
	}
	return len(taken) == 0 || !taken[0], nil
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

// unlessMissing passes over that there is no table of claims: the database is not migrated yet.
func unlessMissing(err error) error {
	if postgres.Code(err) == "42P01" {
		return nil
	}
	return err
}
