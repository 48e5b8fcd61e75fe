package claims

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// maySend is the condition that a schedule s may go to a stream. An index has those (schedules_streams). What is
// invalid because a name was another's has no name.
const maySend = `s.deleted_at is null and strpos(s.task::text, '"stream":') > 0 and ` + hasName

// mayFire is the condition that a schedule s goes to a stream by itself. Only these hold a name, from the first
// hand-over to it on.
const mayFire = maySend + ` and s.enabled and s.invalid_reason is null`

const hasName = `(s.invalid_reason is null or strpos(s.invalid_reason, 'target_ambiguous') = 0)`

// ofQueue is the condition that a schedule s, which is not $2, has the queue $1, of which $3 is a part.
const ofQueue = `s.deleted_at is null and s.id <> $2 and strpos(s.task::text, '"queue":') > 0
        and strpos(s.task::text, $3) > 0 and ` + hasName + ` and ` + sqlexpr.ReadableTask + `->>'queue' = $1`

const (
	streamsSQL = `select c.name, (pg_catalog.array_agg(s.id))[1:2] from ` + holders + ` group by c.name`

	streamOfOtherSQL = `select s.id from ` + holders + ` and c.name = $1 and s.id <> $2 limit 1`

	keysSQL  = `select name, schedule_id from tactus.stream_keys`
	keyOfSQL = keysSQL + ` where name = $1`

	// holders are the schedules s that hold the name of a stream, and their claims c.
	holders = `tactus.stream_claims c join tactus.schedules s on s.id = c.schedule_id
    and c.name = ` + sqlexpr.TaskStream + ` where ` + mayFire

	queueOfOtherSQL = `
select exists (select from tactus.routes where deleted_at is null and queue = $1)
    or exists (select from tactus.schedules s where ` + ofQueue + `)`

	queueOfScheduleSQL = `select exists (select from tactus.schedules s where ` + ofQueue + `)`

	aQueueOfSQL = `select s.id from tactus.schedules s where ` + ofQueue + ` limit 1`

	mayReadClaimsSQL = `select pg_catalog.has_table_privilege('tactus.stream_claims', 'select')`
	mayReadKeysSQL   = `
select coalesce(pg_catalog.has_table_privilege(pg_catalog.to_regclass('tactus.stream_keys'), 'select'), false)`
	mayReadRoutesSQL = `select pg_catalog.has_table_privilege('tactus.routes', 'select')`
)

// Names are those of streams.
type Names struct {
	Held map[string][]domain.ID // by schedules, with two that have each
	Keys map[string]*domain.ID  // made in Redis, with a schedule that goes there or went there, if one is known
}

// Streams returns the streams that schedules hold, and those that are keys of Redis. For a role that may not read
// claims there are none: the hand-over looks again.
func Streams(ctx context.Context, q postgres.Querier) (n Names, err error) {
	held, err := readable(ctx, q, mayReadClaimsSQL, pgx.RowToStructByPos[struct {
		Stream string
		Of     []domain.ID
	}], streamsSQL)
	if err != nil {
		return n, fmt.Errorf("read the streams of schedules: %w", err)
	}
	keys, err := readable(ctx, q, mayReadKeysSQL, pgx.RowToStructByPos[key], keysSQL)
	if err != nil {
		return n, fmt.Errorf("read the keys of streams: %w", err)
	}
	n.Held, n.Keys = map[string][]domain.ID{}, map[string]*domain.ID{}
	for _, row := range held {
		n.Held[row.Stream] = row.Of
	}
	for _, row := range keys {
		n.Keys[row.Name] = row.Of
	}
	return n, nil
}

// Holder returns whose the name of a stream is, apart from what a schedule holds itself.
func (n Names) Holder(name string, but domain.ID) Holder {
	of, key := n.Keys[name]
	for _, id := range n.Held[name] {
		if id != but {
			return Holder{Of: &id, Held: true, Key: key}
		}
	}
	return Holder{Of: of, Key: key}
}

type key struct {
	Name string
	Of   *domain.ID
}

// StreamOfOther returns whose the name of a stream is, apart from what a schedule holds itself, as far as Streams
// tells.
func StreamOfOther(ctx context.Context, q postgres.Querier, name string, id domain.ID) (of Holder, err error) {
	others, err := readable(ctx, q, mayReadClaimsSQL, pgx.RowTo[domain.ID], streamOfOtherSQL, name, id)
	if err != nil || len(others) > 0 {
		return Holder{Of: first(others), Held: len(others) > 0}, err
	}
	keys, err := readable(ctx, q, mayReadKeysSQL, pgx.RowToStructByPos[key], keyOfSQL, name)
	if err != nil || len(keys) == 0 {
		return of, err
	}
	return Holder{Of: keys[0].Of, Key: true}, nil
}

func first(ids []domain.ID) *domain.ID {
	if len(ids) == 0 {
		return nil
	}
	return &ids[0]
}

// readable reads rows, of which there are none for a role that may not read them: a statement that is refused would
// abort the transaction of a caller.
func readable[T any](ctx context.Context, q postgres.Querier, may string, row pgx.RowToFunc[T], sql string,
	args ...any,
) ([]T, error) {
	if may, err := postgres.IsTrue(ctx, q, may); err != nil || !may {
		return nil, err
	}
	return postgres.Collect(ctx, q, row, sql, append([]any{pgx.QueryExecModeExec}, args...)...)
}

// AQueueOf returns a schedule other than id that has a queue, if there is one.
func AQueueOf(ctx context.Context, q postgres.Querier, queue string, id domain.ID) (*domain.ID, error) {
	ids, err := postgres.Collect(ctx, q, pgx.RowTo[domain.ID], aQueueOfSQL, pgx.QueryExecModeExec, queue, id,
		plainPart(queue))
	return first(ids), err
}

// QueueOfOther reports whether a queue is that of a route, or of a schedule other than id.
func QueueOfOther(ctx context.Context, q postgres.Querier, queue string, id domain.ID) (bool, error) {
	return postgres.IsTrue(ctx, q, queueOfOtherSQL, queue, id, plainPart(queue))
}

// QueueOfOtherSchedule reports whether a queue is that of a schedule other than id. It is for roles that may not read
// routes (MayReadRoutes).
func QueueOfOtherSchedule(ctx context.Context, q postgres.Querier, queue string, id domain.ID) (bool, error) {
	return postgres.IsTrue(ctx, q, queueOfScheduleSQL, queue, id, plainPart(queue))
}

// MayReadRoutes reports whether the role of a session may read routes. In a caller's transaction it is asked first,
// because a statement that is refused would abort that transaction.
func MayReadRoutes(ctx context.Context, q postgres.Querier) (bool, error) {
	return postgres.IsTrue(ctx, q, mayReadRoutesSQL)
}

// prioritySeparator parts a queue from a priority in the name of a list, unless the workers are set up otherwise.
const prioritySeparator = "\x06\x16"

// QueueOf returns the queue that a stream would be: the lists of a queue have a priority at the end of their names.
func QueueOf(stream string) string {
	queue, _, _ := strings.Cut(stream, prioritySeparator)
	return queue
}

// QueuesOf returns the queue that each of some streams would be.
func QueuesOf(streams []string) []string {
	queues := make([]string, len(streams))
	for i, name := range streams {
		queues[i] = QueueOf(name)
	}
	return queues
}

const queuesOfOthersSQL = `
select a.name from unnest($1::text[], $2::text[]) a (name, queue)
left join (
    select distinct ` + sqlexpr.ReadableTask + `->>'queue' as queue from tactus.schedules s
    where s.deleted_at is null and strpos(s.task::text, '"queue":') > 0 and ` + hasName + `
) q on q.queue = a.queue
where q.queue is not null
    or exists (select from tactus.routes r where r.deleted_at is null and r.queue = a.queue)`

// QueuesOfOthers returns those of some streams whose queues are those of schedules or routes. It looks at each schedule
// once, however many streams there are.
func QueuesOfOthers(ctx context.Context, q postgres.Querier, streams []string) ([]string, error) {
	if len(streams) == 0 {
		return nil, nil
	}
	taken, err := postgres.Collect(ctx, q, pgx.RowTo[string], queuesOfOthersSQL, pgx.QueryExecModeExec, streams,
		QueuesOf(streams))
	if err != nil {
		return nil, fmt.Errorf("look for queues of the names of streams: %w", err)
	}
	return taken, nil
}

// plainPart is the longest part of a name that stands in JSON as it is, by which most rows are passed over.
func plainPart(name string) (longest string) {
	escaped := func(r rune) bool { return r < ' ' || r > '~' || strings.ContainsRune(`"\<>&`, r) }
	for _, part := range strings.FieldsFunc(name, escaped) {
		if len(part) > len(longest) {
			longest = part
		}
	}
	return longest
}
