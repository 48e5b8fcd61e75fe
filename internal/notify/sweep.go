package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

const (
	// sweepEvery is how often the sweep looks for happenings that no statement causes, such as a run that is late.
	sweepEvery = 10 * time.Second
	// restsFor is how often the sweep checks whether a rule's turn has come.
	restsFor = time.Second
	// mostFound is how many happenings one look finds for a rule.
	mostFound = 10_000
	// toldAgain is the time after which a happening that still lasts is told once more.
	toldAgain = 30 * 24 * time.Hour
)

// finding is a query for the schedules or runs to which something has happened, such as being late. It returns rows
// with a subject, which is told once, and the data of the happening. @seconds is how long the rule waits.
type finding struct {
	what    domain.Happening
	event   string
	seconds func(domain.NotificationRule) int64
	sql     string
}

const (
	findingHead = `
select f.subject, f.run_id, s.id, s.name, ` + sqlexpr.ReadableTags + `, ` + sqlexpr.TaskName + `,
    f.due_at, f.reason from (`

	findingJoin = `
) f join tactus.schedules s on s.id = f.schedule_id
where `

	findingEnd = findingJoin + untold

	// untold excludes subjects that the rule does not select or has told already, so that these do not use up the
	// limit.
	untold = fitsSQL + ` and not exists (select from tactus.notification_told t where t.rule_id = @rule and t.what = @what
    and t.subject = f.subject)
limit @limit::bigint`

	// fitsSQL is domain.NotificationRule.Fits in SQL. Its patterns come from likes.
	fitsSQL = `(@names::text[] is null or s.name like any (@names::text[]))
    and (@tags::text[] is null or s.tags && @tags::text[])
    and (@tasks::text[] is null or ` + sqlexpr.TaskName + ` like any (@tasks::text[]))`

	noRun = `null::uuid as run_id, s.id as schedule_id, null::timestamptz as due_at`

	// startedLate and firedLate yield how late a run is. They exclude infinite instants, which cannot be subtracted.
	startedLate = `case when isfinite(r.due_at) and isfinite(coalesce(r.started_at, clock_timestamp()))
        then coalesce(r.started_at, clock_timestamp()) - r.due_at end`
	firedLate = `case when isfinite(r.fired_at) and isfinite(r.due_at) then r.fired_at - r.due_at end`

	// lateSQL finds runs that have not started in time, and runs that started late and have not ended, or were recorded
	// late. A run on a stream never reports that it has started. A delay by jitter or spread does not make a run late.
	lateSQL = findingHead + `
    select r.id::text as subject, r.id as run_id, r.schedule_id, r.due_at, 'it is late'::text as reason,
        ` + startedLate + ` as late from tactus.runs r
    where r.finished_at is null and r.kind = 'scheduled' and r.status in ('due', 'sent', 'started', 'retrying')
        and not ` + sqlexpr.StreamHas + `
        and ` + startedLate + ` > make_interval(secs => @seconds::bigint)
    union
    select r.id::text, r.id, r.schedule_id, r.due_at, 'it was late', ` + firedLate + ` from tactus.runs r
    where (r.finished_at is not null or ` + sqlexpr.StreamHas + `) and case when isfinite(fired_at) and isfinite(due_at) then fired_at - due_at > interval '10 seconds' end and
        kind = 'scheduled'
        and r.due_at > clock_timestamp() - make_interval(secs => @seconds::bigint) - interval '10 minutes'
        and ` + firedLate + ` > make_interval(secs => @seconds::bigint) and r.status not in ('missed', 'skipped',
            'excluded')` + findingJoin + `
    f.late > make_interval(secs => @seconds::bigint + ` + sqlexpr.PolicyDelay + `) and ` + untold

	pausedSQL = findingHead + `
    select s.id || '/' || extract(epoch from s.paused_at) as subject, ` + noRun + `,
        'paused by ' || coalesce(s.paused_by, 'somebody') || coalesce(': ' || s.pause_reason, '') as reason
    from tactus.schedules s where not s.enabled and s.deleted_at is null and s.completed_at is null and
        s.invalid_reason is null
        and coalesce(s.paused_at, s.updated_at) < clock_timestamp() - make_interval(secs =>
            @seconds::bigint)` + findingEnd

	neverFiredSQL = findingHead + `
    select s.id || '/' || extract(epoch from s.effective_from) as subject, ` + noRun + `, 'it has had no run'::text
        as reason
    from tactus.schedules s where s.enabled and s.deleted_at is null
        and s.effective_from < clock_timestamp() - make_interval(secs => @seconds::bigint)
        and not exists (select from tactus.runs r where r.schedule_id = s.id and r.status not in ('missed',
            'skipped', 'excluded'))` + findingEnd

	invalidSQL = findingHead + `
    select s.id || '/' || s.version as subject, ` + noRun + `, s.invalid_reason as reason
    from tactus.schedules s where s.invalid_reason is not null and s.deleted_at is null` + findingEnd
)

var findings = []finding{
	{domain.RunIsLate, "run.late", func(r domain.NotificationRule) int64 { return r.LateSeconds }, lateSQL},
	{domain.IsPaused, "schedule.paused", func(r domain.NotificationRule) int64 { return r.PausedSeconds }, pausedSQL},
	{
		domain.HasNeverFired, "schedule.never_fired",
		func(r domain.NotificationRule) int64 { return r.NeverFiredSeconds }, neverFiredSQL,
	},
	{domain.IsInvalid, "schedule.invalid", func(domain.NotificationRule) int64 { return 0 }, invalidSQL},
}

// sweep finds happenings that no statement causes, until ctx ends. It makes one look at a time.
func (s *Service) sweep(ctx context.Context) {
	var ts turns
	every := time.NewTicker(restsFor)
	defer every.Stop()
	forgot := time.Now()
	for ctx.Err() == nil {
		ts.of(s.rules.Load()) // before each look, so that deleted and changed rules do not take a turn
		if t := ts.next(time.Now()); t != nil {
			s.take(ctx, &ts, t)
			continue
		}
		if len(ts.all) > 0 && time.Since(forgot) > sweepEvery {
			forgot = time.Now()
			_, err := s.pool.Exec(ctx, forgetTold, pgx.NamedArgs{"after": toldAgain})
			if err != nil && ctx.Err() == nil {
				s.cfg.Log.Warn("cannot forget what was told long ago", "err", err)
			}
		}
		select {
		case <-ctx.Done():
		case <-every.C:
		}
	}
}

const forgetTold = `delete from tactus.notification_told where told_at < clock_timestamp() - @after::interval`

// take makes the look of a turn. A look that fails does not keep others from their turns; it is logged when it begins
// to fail and when it succeeds again.
func (s *Service) take(ctx context.Context, ts *turns, t *turn) {
	may, began := t.may(), time.Now()
	err := s.find(ctx, t.rule, t.finding, may)
	cost, due := time.Since(began), began.Add(sweepEvery)
	if postgres.Canceled(err) && may < longLook {
		ts.done(t, max(cost, may), time.Time{}) // it is tried again with more time
		return
	}
	ts.done(t, cost, due)
	if ctx.Err() != nil || t.failing == (err != nil) {
		return
	}
	t.failing = err != nil
	s.courier.failing.Set(float64(ts.failing()))
	if t.failing {
		s.cfg.Log.Warn("a notification rule cannot look for what is late, paused, invalid or has never fired",
			"rule", t.rule.Name, "on", t.finding.what, "err", err)
		return
	}
	s.cfg.Log.Info("a notification rule can look again", "rule", t.rule.Name, "on", t.finding.what)
}

// tellSQL appends happenings to the log, each subject once, even if several processes find it.
const tellSQL = `
with told as (
    insert into tactus.notification_told (rule_id, what, subject)
    select @rule, @what, subject from unnest(@subjects::text[]) as subject on conflict do nothing returning subject
)
insert into tactus.outbox (topic, aggregate_id, version, type, data, occurred_at)
select '` + sqlexpr.Happenings + `', gen_random_uuid(), 1, @type, g.data::json, clock_timestamp()
from unnest(@subjects::text[], @data::text[]) g (subject, data) join told using (subject)`

// bounded limits the statements of a transaction to a time, and to one processor.
const bounded = `select set_config('statement_timeout', $1, true),
    set_config('max_parallel_workers_per_gather', '0', true)`

// find looks for happenings that a rule tells, for at most the time may, and appends them to the log.
func (s *Service) find(ctx context.Context, r domain.NotificationRule, f finding, may time.Duration) error {
	type row struct {
		Subject    string
		RunID      *domain.ID
		ScheduleID domain.ID
		Name       string
		Tags       []string
		Task       *string
		DueAt      *time.Time
		Reason     *string
	}
	var found []row
	err := postgres.Retry(ctx, func() error {
		return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) (err error) {
			if _, err = tx.Exec(ctx, bounded, strconv.FormatInt(may.Milliseconds(), 10)); err != nil {
				return err
			}
			found, err = postgres.Collect(ctx, tx, pgx.RowToStructByPos[row], f.sql, pgx.NamedArgs{
				"rule": r.ID, "what": string(f.what), "seconds": f.seconds(r), "limit": mostFound,
				"names": likes(r.Names), "tags": unlessEmpty(r.Tags), "tasks": likes(r.Tasks),
			})
			return err
		})
	})
	if err != nil {
		return fmt.Errorf("look for %s: %w", f.what, err)
	}
	var subjects, data []string
	for _, one := range found {
		task, reason := orEmpty(one.Task), orEmpty(one.Reason)
		e := event{
			ScheduleID: one.ScheduleID, ScheduleName: one.Name, Tags: one.Tags, TaskName: task,
			DueAt:  postgres.OrZero(one.DueAt),
			Reason: reason, RuleID: &r.ID, What: string(f.what),
		}
		if one.RunID != nil {
			e.RunID = *one.RunID
		}
		raw, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("encode happening: %w", err)
		}
		subjects, data = append(subjects, one.Subject), append(data, string(raw))
	}
	if len(subjects) == 0 {
		return nil
	}
	_, err = s.pool.Exec(ctx, tellSQL, pgx.NamedArgs{
		"rule": r.ID, "what": string(f.what), "subjects": subjects, "data": data, "type": f.event,
	})
	if err != nil {
		return fmt.Errorf("tell of %s: %w", f.what, err)
	}
	return nil
}

var inLike = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`, "*", "%")

// likes converts the patterns of a rule to patterns of LIKE; nil for none.
func likes(patterns []string) (all []string) {
	for _, p := range patterns {
		all = append(all, inLike.Replace(p))
	}
	return all
}

func unlessEmpty(texts []string) []string {
	if len(texts) == 0 {
		return nil
	}
	return texts
}

func orEmpty(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}
