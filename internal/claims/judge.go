package claims

import (
	"context"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// A schedule is judged by its next look in tactus.unjudged: outbox.Store.Judge finds that its stream is a queue, or
// that its queue was claimed. The statements leave adopted rows out: such a row would become valid again as soon as it
// is compared with its source.
const (
	judgeQueueSQL = `
insert into tactus.unjudged (schedule_id, version)
select s.id, -s.version from tactus.schedules s where ` + ofQueue + ` and s.managed_by is null limit 100
on conflict (schedule_id) do nothing`

	judgeQueuesSQL = `
insert into tactus.unjudged (schedule_id, version)
select s.id, -s.version from tactus.schedules s
where s.deleted_at is null and strpos(s.task::text, '"queue":') > 0 and s.managed_by is null and ` + hasName + `
    and ` + sqlexpr.ReadableTask + `->>'queue' = any ($1::text[]) limit 1000
on conflict (schedule_id) do nothing`

	judgeRunsSQL = `
insert into tactus.unjudged (schedule_id, version)
select distinct s.id, -s.version from tactus.runs r join tactus.schedules s on s.id = r.schedule_id
where r.id = any ($1::uuid[]) and s.deleted_at is null and s.managed_by is null and s.invalid_reason is null
on conflict (schedule_id) do nothing`
)

// JudgeQueue has the schedules judged that have a queue.
func JudgeQueue(ctx context.Context, q postgres.Querier, queue string) error {
	return execute(ctx, q, "have a queue judged", judgeQueueSQL, queue, domain.ID{}, plainPart(queue))
}

// JudgeQueues has the schedules judged that have one of some queues.
func JudgeQueues(ctx context.Context, q postgres.Querier, queues []string) error {
	return execute(ctx, q, "have queues judged", judgeQueuesSQL, queues)
}

// JudgeRuns has the schedules judged whose runs are not handed over, because a name is another's.
func JudgeRuns(ctx context.Context, q postgres.Querier, runs []domain.ID) error {
	return execute(ctx, q, "have the schedules of refused runs judged", judgeRunsSQL, runs)
}
