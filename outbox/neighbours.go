package outbox

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// A queue is a list of Redis and a stream is a stream, and a key is only one of them: whichever comes first takes the
// name from the other, whose runs cannot be handed over any more. So a schedule may not go to a stream whose name is
// that of a queue of another schedule or of a route, nor to a queue whose name is that of another's stream.

// maySend is the condition that a schedule s may go to a stream. An index has those (schedules_streams). What is invalid
// because a name was another's has no name.
const maySend = `s.deleted_at is null and strpos(s.task::text, '"stream":') > 0 and ` + hasName

// mayFire is the condition that a schedule s goes to a stream by itself. Only these hold a name: one that never fires
// would keep a queue from whoever needs it, and whoever may write one schedule could have it so.
const mayFire = maySend + ` and s.enabled and s.invalid_reason is null`

const hasName = `(s.invalid_reason is null or strpos(s.invalid_reason, 'target_ambiguous') = 0)`

// ofQueue is the condition that a schedule s, which is not $2, has the queue $1, of which $3 is a part.
const ofQueue = `s.deleted_at is null and s.id <> $2 and strpos(s.task::text, '"queue":') > 0
        and strpos(s.task::text, $3) > 0 and ` + hasName + ` and ` + sqlexpr.ReadableTask + `->>'queue' = $1`

const (
	isQueue  = "a schedule or a route has a queue of the name %q: choose another for the stream"
	isStream = "a schedule has a stream of the name %q: choose another for the queue"
)

const (
	streamsInUse = `
select name, (pg_catalog.array_agg(id))[1:2] from (select ` + sqlexpr.TaskStream + ` as name, s.id from tactus.schedules s where ` + mayFire + `) found
where name is not null group by name`

	streamOfOther = `select exists (select from tactus.schedules s where ` + mayFire + ` and ` + sqlexpr.TaskStream + ` = $1 and s.id <> $2)`

	queueOfOther = `
select exists (select from tactus.routes where deleted_at is null and queue = $1)
    or exists (select from tactus.schedules s where ` + ofQueue + `)`

	queueOfSchedule = `select exists (select from tactus.schedules s where ` + ofQueue + `)`

	mayReadRoutes = `select pg_catalog.has_table_privilege('tactus.routes', 'select')`
)

// prioritySeparator parts a queue from a priority in the name of a list, unless the workers are set up otherwise.
const prioritySeparator = "\x06\x16"

// neighbours refuses the target of a schedule that is another's. What keeps its target is not asked: somebody may have
// taken the name since, by an adopted row.
func (w writer) neighbours(ctx context.Context, d domain.Definition, id domain.ID) error {
	switch {
	case w.keeps != nil && w.keeps.Stream == d.Stream && w.keeps.Queue == d.Queue:
	case d.Stream != "":
		if w.streams != nil {
			w.streams.forget()
		}
		queue := queueOf(d.Stream)
		taken, err := w.isQueueOfOther(ctx, queue, id)
		return other(taken, err, "/stream", isQueue, queue)
	case d.Queue != "" && w.streams != nil:
		of, taken, err := w.streams.have(ctx, w.q, d.Queue, id)
		return nameOther(ctx, w.q, of, other(taken, err, "/queue", isStream, d.Queue))
	case d.Queue != "":
		taken, err := answersYes(ctx, w.q, streamOfOther, d.Queue, id)
		return other(taken, err, "/queue", isStream, d.Queue)
	}
	return nil
}

// isQueueOfOther reports whether a queue is another schedule's or, as far as the role of a caller's transaction may know,
// a route's. An error would abort that transaction, and the hand-over looks at routes again.
func (w writer) isQueueOfOther(ctx context.Context, queue string, id domain.ID) (bool, error) {
	sql := queueOfOther
	if w.tx != nil {
		may, err := answersYes(ctx, w.q, mayReadRoutes)
		if err != nil {
			return false, err
		}
		if !may {
			sql = queueOfSchedule
		}
	}
	return answersYes(ctx, w.q, sql, queue, id, plainPart(queue))
}

func other(taken bool, err error, field, format, name string) error {
	if err != nil {
		return fmt.Errorf("look for the neighbours of %s: %w", field[1:], err)
	}
	if !taken {
		return nil
	}
	return domain.Faults{{Kind: domain.Invalid, Code: "target_ambiguous", Field: field, Message: fmt.Sprintf(format, name)}}
}

// nameOther adds to a fault whose the name is, if who is refused may know that schedule.
func nameOther(ctx context.Context, q Querier, of domain.ID, fault error) error {
	faults := domain.FaultsOf(fault)
	if len(faults) == 0 || of == (domain.ID{}) {
		return fault
	}
	if s, err := Get(ctx, q, of); err == nil && permitted(ctx, s.Definition) == nil {
		faults[0].Message += fmt.Sprintf(" (it is that of %q, %s)", s.Name, s.ID)
	}
	return faults
}

// plainPart is the longest part of a name that stands in JSON as it is, by which most rows are passed over.
func plainPart(name string) (longest string) {
	for _, part := range strings.FieldsFunc(name, func(r rune) bool { return r < ' ' || r > '~' || strings.ContainsRune(`"\<>&`, r) }) {
		if len(part) > len(longest) {
			longest = part
		}
	}
	return longest
}

func answersYes(ctx context.Context, q Querier, sql string, args ...any) (bool, error) {
	yes, err := postgres.Collect(ctx, q, pgx.RowTo[bool], sql, append([]any{pgx.QueryExecModeExec}, args...)...)
	return err == nil && yes[0], err
}

// streamNames are the streams of all schedules, with two of those that have each, read again once they are a second
// old: a store that writes many schedules with queues does not ask before each.
type streamNames struct {
	mu    sync.Mutex
	read  time.Time
	names map[string][]domain.ID
}

// forget has them read anew: one is about to be written.
func (s *streamNames) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read = time.Time{}
}

// have reports whether another schedule has a stream of that name, and which.
func (s *streamNames) have(ctx context.Context, q Querier, name string, but domain.ID) (of domain.ID, taken bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.read) > time.Second {
		found, err := postgres.Collect(ctx, q, pgx.RowToStructByPos[struct {
			Stream string
			Of     []domain.ID
		}], streamsInUse, pgx.QueryExecModeExec)
		if err != nil {
			return of, false, err
		}
		s.read, s.names = time.Now(), map[string][]domain.ID{}
		for _, row := range found {
			s.names[row.Stream] = row.Of
		}
	}
	if i := slices.IndexFunc(s.names[name], func(id domain.ID) bool { return id != but }); i >= 0 {
		return s.names[name][i], true, nil
	}
	return of, false, nil
}
