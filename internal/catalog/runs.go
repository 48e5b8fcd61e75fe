package catalog

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/access"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// Page asks for a part of a list: at most Size members after the place that Token names. Token is the NextPageToken of
// the previous part, or empty for the first one.
type Page struct {
	Size  int
	Token string
}

// RunPage is a part of a list of runs. It may have fewer runs than were asked for, or even none, although more follow,
// because a page examines a bounded number of runs. The list ends with a page without a token.
type RunPage struct {
	Runs          []RunEntry `json:"runs"`
	NextPageToken string     `json:"next_page_token" doc:"Where the list goes on; empty at its end. A page may hold fewer runs than asked for, even none, before the end."`
}

// RunEntry is one run in a list. A missed range is one entry, from DueAt to Until. ScheduleName, TaskName and Queue are
// those that the schedule has now, unless the run was made with others.
type RunEntry struct {
	ID           domain.ID        `json:"id" doc:"Which is the Celery task's id too."`
	ScheduleID   domain.ID        `json:"schedule_id"`
	ScheduleName *string          `json:"schedule_name"`
	TaskName     *string          `json:"task_name"`
	Queue        *string          `json:"queue" doc:"Null for a stream or an exchange; in lists, for the default queue."`
	Stream       *string          `json:"stream,omitempty" doc:"The stream that the run is for."`
	Kind         domain.RunKind   `json:"kind" enum:"scheduled,manual,backfill"`
	Status       domain.RunStatus `json:"status" enum:"due,sent,started,retrying,succeeded,failed,revoked,expired,skipped,missed,unknown"`
	Final        bool             `json:"final" doc:"It has ended, or a stream, which never answers, has it."`
	Version      int64            `json:"schedule_version"`
	Reason       *string          `json:"reason,omitempty"`
	Error        *string          `json:"error"`
	Worker       *string          `json:"worker,omitempty"`
	Redelivered  int              `json:"redelivered" doc:"How often somebody asked to hand it over again."`

	DueAt        time.Time  `json:"due_at"`
	Until        *time.Time `json:"until,omitempty" doc:"Of a missed range: its last due time."`
	RecordedAt   time.Time  `json:"recorded_at" doc:"When it was fired, or what became of its due time was recorded."`
	ExpiresAt    *time.Time `json:"expires_at,omitempty"`
	HandedOverAt *time.Time `json:"handed_over_at"`
	StartedAt    *time.Time `json:"started_at" doc:"By the clock of its worker."`
	FinishedAt   *time.Time `json:"finished_at"`

	LatenessSeconds *float64 `json:"lateness_seconds" doc:"From its due time to its being handed over; null for a backfill, whose due times are past."`
	RuntimeSeconds  *float64 `json:"runtime_seconds" doc:"From its start to its end; null while clocks_differ."`
	ClocksDiffer    bool     `json:"clocks_differ,omitempty" doc:"By its workers it ended before it began."`

	BackfillID *domain.ID `json:"backfill_id,omitempty" doc:"The backfill that it is of."`
}

// How many runs a page examines. It begins with few, which are enough if most of them match.
const (
	mostLookedAt      = 20_000
	mostTroubled      = 5_000 // of those with an error or a reason, which lie far apart
	mostWithSchedules = 2_500 // if the schedules of the runs are read as well
	looksBegin        = 4     // times the size of the page
	looksGrow         = 4
)

// mostSources is up to how many schedules have their runs read schedule by schedule. With more schedules, all runs are
// searched.
const mostSources = 100

// Runs returns a part of the list of the chosen runs, newest first: by due time, and by id where that is the same.
//
// The cost does not depend on how many runs there are. Each look reads a bounded number of runs behind a place, in the
// order of an index: of all runs, of those that have an error or a reason, or of each of a few schedules.
func (c *Catalog) Runs(ctx context.Context, f RunFilter, p Page) (page RunPage, err error) {
	f.scope = access.From(ctx).Scope
	at := f.first()
	if p.Token != "" {
		after, err := parsePlace(p.Token)
		if err != nil {
			return page, err
		}
		if after.due.Before(at.due) {
			at = after
		}
	}
	err = c.read(ctx, func(tx pgx.Tx) error {
		found, next, err := f.find(ctx, tx, at, p.Size)
		if err != nil {
			return fmt.Errorf("list runs: %w", err)
		}
		if page.Runs, err = readRuns(ctx, tx, found); err != nil {
			return fmt.Errorf("list runs: %w", err)
		}
		if next != nil {
			page.NextPageToken = next.String()
		}
		return nil
	})
	return page, err
}

// find returns the places of the next chosen runs, and the place to continue from, which is nil at the end of the list.
func (f RunFilter) find(ctx context.Context, tx pgx.Tx, at place, size int) (found []place, next *place, err error) {
	sources, err := f.sources(ctx, tx)
	if err != nil {
		return nil, nil, err
	}
	sql, left := lookAtAll, mostLookedAt
	switch {
	case len(sources) > 0:
		sql = lookAtSources
	case f.onlyTroubled():
		sql, left = lookAtTroubled, mostTroubled
	}
	if f.bySchedule() {
		left = mostWithSchedules
	}
	for look := looksBegin * size; ; look *= looksGrow {
		l := looking{most: max(1, min(look, left)/max(1, len(sources))), limit: size - len(found), sources: sources}
		more, end, err := f.lookOnce(ctx, tx, sql, at, l)
		if err != nil {
			return nil, nil, err
		}
		found = append(found, more...)
		switch {
		case len(found) == size:
			return found, &found[size-1], nil
		case end == nil:
			return found, nil, nil
		case look >= left:
			return found, end, nil
		}
		at, left = *end, left-look
	}
}

// looking bounds one look.
type looking struct {
	most    int // runs of each source
	limit   int // of chosen runs
	sources []string
}

// looksSQL is one look. Behind horizon not every source was looked at. The look that finds none has none.
func looksSQL(looked string) string {
	return `
with looked as materialized (` + looked + `
),
` + ofLookedAt + `,
horizon as materialized (
    select due_at, id from looked where nth = @most::bigint order by due_at desc, id desc limit 1
),
chosen as materialized (
    select due_at, id from looked
    where fits and (not @by_schedule or schedule_id in (select schedule_id from of))
        and coalesce((due_at, id) >= (select due_at, id from horizon), true)
    order by due_at desc, id desc limit @limit::bigint
)
select array(select id::text from chosen), array(select due_at from chosen), h.due_at, h.id
from (select) one left join horizon h on true`
}

// ofLookedAt selects the chosen schedules among those of the runs that were read. It is only used if the filter chooses
// by schedule.
const ofLookedAt = `of as materialized (
    select r.schedule_id from (select distinct schedule_id from looked where fits) r, lateral (
        select from tactus.schedules s where @by_schedule::boolean and s.id = r.schedule_id and s.deleted_at is null
            and ` + schedulesOfRuns + ` and (@queue::text = '' or ` + sqlexpr.TaskQueue + ` = @queue)) s
)`

const schedulesOfRuns = `(cardinality(@tags::text[]) = 0 or s.tags @> @tags::text[])
    and (@task::text = '' or left(` + sqlexpr.TaskName + `, 200) = @task) and ` + sqlexpr.InScope

const lookedAt = `select r.due_at, r.id, r.schedule_id, (cardinality(@statuses::text[]) = 0 or r.status = any (@statuses))
            and (@kind::text = '' or r.kind = @kind) and (@worker::text = '' or r.worker = @worker)
            and (@finished_from::timestamptz is null or r.finished_at >= @finished_from)
            and (@finished_to::timestamptz is null or r.finished_at < @finished_to)
            and (@error::text = '' or strpos(lower(r.error), lower(@error)) > 0) as fits
        from tactus.runs r
        where r.due_at >= @from::timestamptz and r.due_at <= @due::timestamptz and (r.due_at, r.id) < (@due, @id::uuid)`

const nextOfThem = ` order by r.due_at desc, r.id desc limit @most::bigint`

var (
	lookAtAll = looksSQL(`
    select l.*, row_number() over (order by due_at desc, id desc) as nth from (
        ` + lookedAt + nextOfThem + `
    ) l`)

	lookAtTroubled = looksSQL(`
    select l.*, row_number() over (order by due_at desc, id desc) as nth from (
        ` + lookedAt + ` and (r.error is not null or r.reason is not null)` + nextOfThem + `
    ) l`)

	lookAtSources = looksSQL(`
    select l.*, row_number() over (partition by schedule_id order by due_at desc, id desc) as nth
    from unnest(@sources::text[]::uuid[]) source (schedule), lateral (
        ` + lookedAt + ofSource + `
        order by r.schedule_id desc, r.due_at desc, r.id desc limit @most::bigint
    ) l`)
)

// ofSource are the conditions for the runs of a source that are due from @from until @due.
//
// PostgreSQL knows how many runs schedules have on average. If one of them has nearly all, it expects many of each, and
// would rather go through the newest runs of all schedules (runs_newest), once for each source, than read the runs of a
// source (runs_due). So a look has the order of runs_due, which is by schedule first. The conditions are on both
// columns together, because with schedule_id = source.schedule PostgreSQL knows that the schedule does not matter to
// the order.
const ofSource = ` and (r.schedule_id, r.due_at) >= (source.schedule, @from::timestamptz)
            and (r.schedule_id, r.due_at) <= (source.schedule, @due::timestamptz)`

var sourcesOfRuns = `
select s.id::text from tactus.schedules s where s.deleted_at is null and ` + schedulesOfRuns + ` limit @most::bigint`

// sources returns the schedules whose runs are read schedule by schedule, or none if all runs are searched. If no
// schedule has the tag or the task, the result has one id that no schedule has.
func (f RunFilter) sources(ctx context.Context, tx pgx.Tx) (sources []string, err error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	if f.Schedule != nil {
		return []string{f.Schedule.String()}, nil
	}
	if !f.byNames() {
		return nil, nil
	}
	args := f.args()
	args["most"] = mostSources + 1
	rows, err := tx.Query(ctx, sourcesOfRuns, pgx.QueryExecModeExec, args)
	if err != nil {
		return nil, err
	}
	sources, err = pgx.CollectRows(rows, pgx.RowTo[string])
	switch n := len(sources); {
	case err != nil, n > mostSources:
		return nil, err
	case n == 0:
		return []string{domain.ID{}.String()}, nil
	}
	return sources, nil
}

func (f RunFilter) lookOnce(ctx context.Context, tx pgx.Tx, sql string, at place, l looking) (found []place, end *place,
	err error,
) {
	args := f.args()
	args["due"], args["id"], args["most"], args["limit"], args["sources"] = at.due, at.id, l.most, l.limit, l.sources
	var ids []string
	var dues []time.Time
	var horizonDue *time.Time
	var horizon *domain.ID
	if err := tx.QueryRow(ctx, sql, pgx.QueryExecModeExec, args).Scan(&ids, &dues, &horizonDue, &horizon); err != nil {
		return nil, nil, err
	}
	for i, text := range ids {
		id, err := domain.ParseID(text)
		if err != nil {
			return nil, nil, err
		}
		found = append(found, place{dues[i], id})
	}
	if horizon != nil {
		end = &place{*horizonDue, *horizon}
	}
	return found, end, nil
}

var runEntries = `
with page as materialized (
    select w.nth, r.id, schedule_id, kind, status, schedule_version, reason, error, worker, redelivered, r.due_at, until, fired_at,
        expires_at, sent_at, started_at, finished_at, task, slot
    from unnest(@ids::text[]::uuid[], @dues::timestamptz[]) with ordinality w (id, due_at, nth)
    join tactus.runs r on r.id = w.id and r.due_at = w.due_at
),
of as materialized (
    select s.id, s.name, ` + sqlexpr.TaskName + ` as task_name, ` + sqlexpr.TaskQueue + ` as queue, ` +
	sqlexpr.TaskStream + ` as stream
    from (select distinct schedule_id as id from page) p join tactus.schedules s on s.id = p.id
)
select r.id, r.schedule_id, of.name, coalesce(own.task_name, of.task_name), case when own.task_name is null then of.queue else own.queue end,
    case when own.task_name is null then of.stream else own.stream end,
    r.kind, r.status, false, r.schedule_version, r.reason, r.error, r.worker, r.redelivered,
    r.due_at, ` + sqlexpr.InYears("r.until") + `, ` + sqlexpr.InYears("r.fired_at") + `, ` + sqlexpr.InYears("r.expires_at") + `,
    ` + sqlexpr.InYears("r.sent_at") + `, ` + sqlexpr.InYears("r.started_at") + `, ` + sqlexpr.InYears("r.finished_at") + `,
    null::float8, null::float8, false,
    case when r.kind = 'backfill' then r.slot end
from page r left join of on of.id = r.schedule_id left join lateral (
    select ` + sqlexpr.TaskName + ` as task_name, ` + sqlexpr.TaskQueue + ` as queue,
        ` + sqlexpr.TaskStream + ` as stream
    from (select r.task) s where r.task is not null
) own on true
order by r.nth`

// readRuns reads the runs of a page in its order.
func readRuns(ctx context.Context, tx pgx.Tx, at []place) ([]RunEntry, error) {
	ids, dues := make([]string, len(at)), make([]time.Time, len(at))
	for i, p := range at {
		ids[i], dues[i] = p.id.String(), p.due
	}
	runs, err := bounded(ctx, tx, RunEntry.size, runEntries, pgx.NamedArgs{"ids": ids, "dues": dues})
	for i := range runs {
		runs[i].complete()
	}
	return runs, err
}

// size returns about how many bytes a run takes.
func (r RunEntry) size() int {
	size := 512
	for _, text := range []*string{r.ScheduleName, r.TaskName, r.Queue, r.Stream, r.Reason, r.Error, r.Worker} {
		if text != nil {
			size += len(*text)
		}
	}
	return size
}

// complete sets what follows from the times. A worker's clock may differ from that of PostgreSQL, and what would be
// less than nothing is shown as nothing.
func (r *RunEntry) complete() {
	r.DueAt, r.RecordedAt = r.DueAt.UTC(), r.RecordedAt.UTC()
	for _, t := range []*time.Time{r.Until, r.ExpiresAt, r.HandedOverAt, r.StartedAt, r.FinishedAt} {
		if t != nil {
			*t = t.UTC()
		}
	}
	if r.Kind != domain.Backfill {
		r.LatenessSeconds = between(&r.DueAt, r.HandedOverAt)
	}
	if r.ClocksDiffer = backwards(r.StartedAt, r.FinishedAt); !r.ClocksDiffer {
		r.RuntimeSeconds = between(r.StartedAt, r.FinishedAt)
	}
	switch r.Status {
	case domain.Due, domain.Started, domain.Retrying:
	case domain.Sent:
		r.Final = r.Stream != nil
	default:
		r.Final = true
	}
}

// clockTolerance is the time by which the recorded end of a run may precede its start while the run still counts as one
// that took no time. Even on one host, the clocks of a worker and of PostgreSQL agree no better than that.
const clockTolerance = 20 * time.Millisecond

// backwards reports whether the recorded end of a run precedes its start, because two clocks differ.
func backwards(started, finished *time.Time) bool {
	return started != nil && finished != nil && finished.Before(started.Add(-clockTolerance))
}

func between(from, to *time.Time) *float64 {
	if from == nil || to == nil {
		return nil
	}
	seconds := max(0, to.Sub(*from).Seconds())
	return &seconds
}
