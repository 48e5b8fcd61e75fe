package beat

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
	"github.com/tactus-dev/tactus/outbox"
)

// fireDueSQL settles due times in one statement, which is one transaction. It goes by what the tables hold at that
// moment, not by what memory believes. Its common table expressions:
//
//   - lease: the row of the lease, if it has this beat's term; otherwise nothing is done. The lock keeps any other beat
//     from taking the lease before the commit. Nor is anything done if by PostgreSQL's clock it is not yet as late as
//     the beat believes, because the clock has gone back. The clock is read only once, so a step of the clock during
//     the statement cannot make a run look fired before it was due.
//   - given: the decisions. Each array stands in a sub-select, so that the planner cannot see its length. Whatever its
//     statistics say, the planner then looks rows up by their keys, and does not start its JIT compiler.
//   - count_free: the counts of schedules whose runs are limited, locked. The statement does not wait for a count that
//     another transaction has locked: the schedule is left for later (count_locked), and all others fire. firePlainSQL,
//     for schedules that do not count their runs, does not even name the table of the counts, since the whole table may
//     be locked (see settleApart).
//   - unjudged: schedules with a stream that were written by SQL and that no process of tactus has judged yet. Their
//     stream may have the name of a queue of somebody else, which an entry would turn into a stream. Until they are
//     judged they are left for later, and the wait does not make them late (see memory.Memory.Wait).
//   - outdated: policies that were applied with a version of a calendar which is no longer current. Their decisions are
//     made again.
//   - due: the decisions whose schedules are as memory has them. Such a schedule may fire, has the effective_from and
//     the policy that memory decided by, and has not used up its runs (a schedule with a limit occurs at most once in a
//     statement). If its runs must not overlap, due times that have no row yet stand in line.
//   - decided: what becomes of each due time. The first in line fires, unless a run is unfinished. The next one in line
//     waits if no run waits yet and either the policy is queue, or the unfinished run is a backfill's, which must not
//     cost a due time. All others are skipped. A due time that somebody skips by hand is passed over, which is recorded
//     as skipped as well.
//   - run: the new rows. Their unique key makes a due time fire once: a due time that has a row already keeps it, and
//     gets no event. The time until a run expires counts from now, when it is handed over; a run that waits gets no
//     expiry yet.
//   - fired: each new run that fires, joined with its schedule. Events and counts are made from it. An event occurs at
//     the fired_at of its row, so that row and message expire at the same instant.
const fireDueSQL = fireGivenSQL + noCalendarsSQL + countsFreeSQL + fireRunsSQL + countRunsSQL + fireEventsSQL

const firePlainSQL = fireGivenSQL + noCalendarsSQL + noCountsSQL + fireRunsSQL + fireEventsSQL

const fireGivenSQL = `
with lease as materialized (
    select epoch, now, now >= @now::timestamptz as due
    from (
        select epoch, clock_timestamp() as now from tactus.leases
        where name = 'beat' and epoch = @epoch` + lockTimeoutSQL + ` for share
    ) l
),
given as materialized (
    select * from unnest((select @runs::uuid[]), (select @schedules::uuid[]), (select @effective::timestamptz[]),
        (select @due::timestamptz[]), (select @until::timestamptz[]), (select @reasons::text[]),
        (select @policy::integer[]))
        g (run_id, schedule_id, effective_from, due_at, until, missed, policy)
),`

// calendarsSQL finds the policies that were applied with a version of a calendar which is no longer current. It takes
// the place of noCalendarsSQL in statements for schedules that use calendars.
const calendarsSQL = `
outdated as materialized (
    select u.policy from unnest((select @calendar_policies::integer[]), (select @calendar_names::text[]), (select @calendar_versions::bigint[]))
        u (policy, name, version)
    left join tactus.calendars c on c.name = u.name and c.deleted_at is null
    where c.version is distinct from u.version
),`

const noCalendarsSQL = `
outdated as (select null::integer as policy where false),`

const countsFreeSQL = `
count_free as materialized (
    select schedule_id, trigger_set_at, fired from tactus.schedule_counts
    where schedule_id in (select schedule_id from given)
    for no key update skip locked
),
count_locked as materialized (
    select distinct g.schedule_id from given g join tactus.schedule_counts n on n.schedule_id = g.schedule_id
` + notFreeSQL + `
),`

const notFreeSQL = `    where not exists (select from count_free f where f.schedule_id = g.schedule_id)`

const noCountsSQL = noCountFreeSQL + `
count_locked as (select null::uuid as schedule_id where false),`

const noCountFreeSQL = `
count_free as (select null::uuid as schedule_id, null::timestamptz as trigger_set_at, null::bigint as fired where false),`

const fireRunsSQL = `
unjudged as materialized (
    select u.schedule_id, greatest(least(s.updated_at, clock_timestamp()), '2000-01-01 00:00:00+00') as since
    from tactus.unjudged u join tactus.schedules s on s.id = u.schedule_id
    where u.schedule_id in (select schedule_id from given) and u.version > 0 and strpos(s.task::text, '"stream"') > 0
),
due as materialized (
    select g.*, s.version, lease.now,
        coalesce(p.expires, ` + sqlexpr.RouteExpires + `) * interval '1 second' as expires, line.*
    from lease, given g join tactus.schedules s on s.id = g.schedule_id and s.effective_from = g.effective_from
        and s.policy = ((select @policies::text[]))[g.policy]
    cross join json_to_record(s.policy::json) p (expires bigint, max_runs bigint, overlap text)
    left join count_free n on n.schedule_id = s.id and n.trigger_set_at = s.trigger_set_at
` + lineSQL + `
    where lease.due and s.enabled and s.deleted_at is null
        and not exists (select from count_locked l where l.schedule_id = g.schedule_id)
        and not exists (select from unjudged u where u.schedule_id = g.schedule_id)
        and not exists (select from outdated o where o.policy = g.policy)
        and (n.fired is null
            or coalesce(n.fired < case when s.trigger = '{"once":true}' then 1 else p.max_runs end, true))
),
decided as materialized (
    select *, case
        when left(missed, length('` + domain.ReasonSkipped + `')) = '` + domain.ReasonSkipped + `' then 'passed over'
        when missed like '` + domain.ReasonExcluded + `%' then 'excluded'
        when missed is not null then 'missed'
        when overlap is null or nth = 1 and not taken then 'due'
        when (overlap = 'queue' or backfilled and unfinished) and nth = 2 and not taken then 'waits'
        else 'skipped' end as fate
    from (
        select *, unfinished::int + row_number() over (partition by schedule_id, overlap order by due_at) as nth
        from due
    ) d
),
run as (
    insert into tactus.runs as r (id, schedule_id, due_at, until, kind, status, schedule_version,
        fired_at, expires_at, exclusive, waiting, reason)
    select run_id, schedule_id, due_at, until, 'scheduled',
        case fate when 'waits' then 'due' when 'passed over' then 'skipped' else fate end, version,
        now, case when fate = 'due' then now + expires end,
        fate in ('due', 'waits') and overlap is not null, fate = 'waits',
        case when missed is not null then missed else case fate when 'waits' then case overlap
                when 'queue' then '` + domain.ReasonWaits + `'
                else '` + domain.ReasonWaitsForBackfill + `' end
            when 'skipped' then case overlap when 'skip' then '` + domain.ReasonSkip + `'
                else '` + domain.ReasonQueue + `' end end end
    from decided
    on conflict (schedule_id, due_at, slot) do nothing
    returning id, schedule_id, due_at, fired_at, status, status = 'due' and not waiting as fires,
        case when status <> 'due' then r end as happened
),` + tellSQL + `
fired as materialized (
    select run.id, run.due_at, run.fired_at, s.id as schedule_id, s.name, ` + sqlexpr.RoutedTask + ` as task,
        s.trigger_set_at,
        s.trigger = '{"once":true}' or s.policy::json->'max_runs' is not null as counts
    from run join tactus.schedules s on s.id = run.schedule_id
    where run.fires
),`

const countRunsSQL = `
count as (
    insert into tactus.schedule_counts as n (schedule_id, trigger_set_at, fired)
    select schedule_id, trigger_set_at, count(*) from fired where counts group by schedule_id, trigger_set_at
    on conflict (schedule_id) do update set trigger_set_at = excluded.trigger_set_at,
        fired = excluded.fired + case when n.trigger_set_at = excluded.trigger_set_at then n.fired else 0 end
),`

const fireEventsSQL = `
event as (
    insert into tactus.outbox (topic, aggregate_id, version, type, data, headers, occurred_at)
    select 'run', id, 1, 'run.due', tactus.run_due(schedule_id, name, task, id, due_at, 'scheduled'), null, fired_at
    from fired order by due_at
    returning position
)
select exists (select from lease), coalesce((select not due from lease), false),
    (select count(*) from run), (select count(*) from event),
    (select count(*) from run where status = 'missed'), (select count(*) from run where status = 'excluded'),
    (select max(position) from event),
    array(select schedule_id from given, lease where lease.due
        except select schedule_id from due except select schedule_id from count_locked
        except select schedule_id from unjudged),
    array(select schedule_id from (select schedule_id from count_locked union select schedule_id from unjudged) l, lease
        where lease.due),
    (select ` + sqlexpr.RingRuns + ` from (select from event limit 1) e where @ring::boolean),
    array(select schedule_id from unjudged, lease where lease.due order by schedule_id),
    array(select since from unjudged, lease where lease.due order by schedule_id)`

// lineSQL finds the due times that stand in line because runs of their schedule must not overlap. It reads all
// partitions of the runs, so it waits if another session has locked any of them, even an old or an empty one. Meanwhile
// noLineSQL takes its place, and schedules whose runs must not overlap are left for later as if their counts were
// locked (noCountsOrLineSQL, notFreeOrInLineSQL). All others fire, since inserting runs locks only the partition that
// they belong to.
const (
	lineSQL = `    left join lateral (
        select p.overlap, ` + sqlexpr.Unfinished + ` as unfinished, exists (select from tactus.runs b
                where b.schedule_id = s.id and b.exclusive and b.finished_at is null and b.kind = 'backfill')
                as backfilled,
            exists (select from tactus.runs r where r.schedule_id = s.id and r.waiting) as taken
        where p.overlap is not null and g.missed is null and not exists (select from tactus.runs r
            where r.schedule_id = s.id and r.due_at = g.due_at and r.slot = '00000000-0000-0000-0000-000000000000')
    ) line on true`

	noLineSQL = `    cross join (
        select null::text as overlap, null::boolean as unfinished, null::boolean as backfilled, null::boolean as taken
    ) line`

	noCountsOrLineSQL = noCountFreeSQL + `
count_locked as materialized (` + inLineSQL + `
),`

	notFreeOrInLineSQL = notFreeSQL + `
    union` + inLineSQL

	inLineSQL = `
    select s.id as schedule_id from given g join tactus.schedules s on s.id = g.schedule_id where ` + sqlexpr.PolicyOverlaps
)

// tellSQL tells whoever wants to hear of it about due times that did not fire.
const tellSQL = sqlexpr.Tell + `run` + sqlexpr.Told + `,`

// withoutOthers returns a firing statement changed for decisions that fire whatever other runs there are (firesAnyway).
// The parts that it leaves out would find nothing for them, but take half of the time that PostgreSQL spends on
// planning the statement. While little is due at a time, planning takes longer than running it.
func withoutOthers(sql string) string { return othersOut.Replace(sql) }

var othersOut = strings.NewReplacer(lineSQL, noLineSQL, tellSQL, "")

// firesAnyway reports whether a due time fires whatever other runs its schedule has. The statement fires it only while
// the schedule has the policy that the decision names.
func firesAnyway(d memory.Decision) bool {
	return d.Reason == "" && !strings.Contains(d.Policy, `"overlap":`)
}

// withoutLine returns a firing statement changed so that it does not read runs.
func withoutLine(sql string) string {
	return strings.NewReplacer(lineSQL, noLineSQL, noCountsSQL, noCountsOrLineSQL, notFreeSQL, notFreeOrInLineSQL).
		Replace(sql)
}

// outcome is what a firing statement did.
type outcome struct {
	Held     bool        // the lease has this beat's term; otherwise nothing was done
	Early    bool        // by PostgreSQL's clock it is not as late as decided: nothing was done
	Recorded int64       // new rows
	Fired    int64       // of them, those that fire
	Missed   int64       // of them, those that were missed
	Excluded int64       // of them, those that calendars exclude
	Newest   *int64      // the position of the last event that was written; nil when none was
	Stale    []domain.ID // schedules that differ from memory: nothing was done about them
	Locked   []domain.ID // schedules with a locked row, or that are not judged: nothing was done about them
	Untried  []domain.ID // schedules that no statement got to: nothing was done about them

	Unjudged map[domain.ID]time.Time // those of Locked that are not judged, and when SQL wrote them
}

// settle settles decisions by one statement. A listener anywhere in the cluster that stops reading fills PostgreSQL's
// queue of notifications; while the queue is full, PostgreSQL refuses the commit of every transaction that notifies.
// The statement is then run once more without the bell, and the relay finds the events by polling.
func (b *Beat) settle(ctx context.Context, decisions []memory.Decision) (outcome, error) {
	out, err := b.settleAndRing(ctx, decisions, true)
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code == "54000" {
		return b.settleAndRing(ctx, decisions, false)
	}
	return out, err
}

func (b *Beat) settleAndRing(ctx context.Context, decisions []memory.Decision, ring bool) (out outcome, err error) {
	args := fireArgs(b.lease.term, b.cfg.Lease, decisions)
	args["ring"], args["believed"] = ring, b.clock.believes()
	var rung any
	var unjudged []domain.ID
	var since []time.Time
	began := time.Now()
	err = b.beside.Do(ctx, b.fireSQL(decisions), func(sql string) error {
		return b.pool.QueryRow(ctx, sql, planned, args).Scan(&out.Held, &out.Early, &out.Recorded, &out.Fired, &out.Missed,
			&out.Excluded, &out.Newest, &out.Stale, &out.Locked, &rung, &unjudged, &since)
	})
	if err != nil {
		return outcome{}, fmt.Errorf("fire: %w", err)
	}
	if b.cfg.Traces != nil && out.Fired > 0 {
		b.traceFired(ctx, decisions, args["runs"].([]domain.ID), out, began)
	}
	for i, id := range unjudged {
		if out.Unjudged == nil {
			out.Unjudged = make(map[domain.ID]time.Time, len(unjudged))
		}
		out.Unjudged[id] = since[i]
	}
	return out, nil
}

// fireArgs returns the decisions as arrays, one per column. Equal policies are sent once, and referred to by number.
func fireArgs(term int64, lease time.Duration, decisions []memory.Decision) named {
	n := len(decisions)
	runs, schedules := make([]domain.ID, n), make([]domain.ID, n)
	effective, due, fires := make([]time.Time, n), make([]time.Time, n), make([]time.Time, n)
	until, reasons := make([]*time.Time, n), make([]*string, n)
	policy, policies, number := make([]int32, n), []string(nil), map[string]int32{}
	var decided memory.Micros
	calendarPolicies, calendarNames, calendarVersions := []int32{}, []string{}, []int64{}
	for i := range decisions {
		d := &decisions[i]
		decided = max(decided, d.Decided)
		if number[d.Policy] == 0 {
			policies = append(policies, d.Policy)
			number[d.Policy] = int32(len(policies))
			for _, c := range d.Calendars {
				calendarPolicies = append(calendarPolicies, number[d.Policy])
				calendarNames, calendarVersions = append(calendarNames, c.Name), append(calendarVersions, c.Version)
			}
		}
		policy[i] = number[d.Policy]
		runs[i], schedules[i] = outbox.NewID(), d.Schedule
		effective[i], due[i] = time.UnixMicro(d.Effective), time.UnixMicro(d.Due)
		fires[i] = time.UnixMicro(d.Fire)
		if d.Reason != "" {
			last := time.UnixMicro(d.Until)
			until[i], reasons[i] = &last, &d.Reason
		}
	}
	return named{
		"calendar_policies": calendarPolicies, "calendar_names": calendarNames, "calendar_versions": calendarVersions,
		"epoch": term, "lease": lease, "runs": runs, "schedules": schedules, "effective": effective, "due": due,
		"until": until, "fires": fires, "reasons": reasons, "policy": policy, "policies": policies,
		"now": time.UnixMicro(decided),
	}
}
