package beat

import (
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// mode is how a beat that fires and a shadow differ: in the name of their lease, and in their statements.
type mode struct {
	leaseName      string
	fireDueSQL     string
	firePlainSQL   string // for schedules that do not count their runs
	setAsideSQL    string
	settledFromSQL string
	withdrawSQL    string

	probePlainSQL, probeCountedSQL string // see refusals
	countsLockedSQL                string // asks whether fireDueSQL would wait for the whole table of the counts
}

func modeOf(shadow bool) mode {
	if shadow {
		return mode{
			leaseName: "shadow", fireDueSQL: shadowFireDueSQL, firePlainSQL: shadowFirePlainSQL,
			setAsideSQL: shadowSetAsideSQL, settledFromSQL: shadowSettledFromSQL, withdrawSQL: shadowWithdrawSQL,
			probePlainSQL: shadowProbeSQL, probeCountedSQL: shadowProbeSQL,
			countsLockedSQL: countsUnreadableSQL,
		}
	}
	return mode{
		leaseName: "beat", fireDueSQL: fireDueSQL, firePlainSQL: firePlainSQL,
		setAsideSQL: setAsideSQL, settledFromSQL: settledFromSQL, withdrawSQL: withdrawSQL,
		probePlainSQL: probePlainSQL, probeCountedSQL: probeCountedSQL,
		countsLockedSQL: countsLockedSQL,
	}
}

// shadow is what a shadow has seen of a beat that fires.
type shadow struct {
	beside  *time.Time // the expiry of the firing beat's lease when it was first seen
	retired bool       // that lease was renewed since: this shadow does nothing any more
}

// shadowFireDueSQL decides about due times as fireDueSQL does, but only records the decisions: it makes no run, no
// event and no count. Due times that it would have fired count for max_runs, together with those that were fired. It
// cannot tell whether a previous run is unfinished, since another beat runs the tasks.
const shadowFireDueSQL = shadowGivenSQL + `
    left join tactus.schedule_counts n on n.schedule_id = s.id and n.trigger_set_at = s.trigger_set_at` + shadowRunsSQL

const shadowFirePlainSQL = shadowGivenSQL + `
    cross join (select null::bigint as fired) n` + shadowRunsSQL

const shadowGivenSQL = `
with lease as materialized (
    select epoch, clock_timestamp() >= @now::timestamptz as due from tactus.leases
    where name = 'shadow' and epoch = @epoch` + lockTimeoutSQL + ` for share
),` + noCalendarsSQL + `
given as materialized (
    select * from unnest((select @schedules::uuid[]), (select @effective::timestamptz[]), (select @due::timestamptz[]),
        (select @until::timestamptz[]), (select @fires::timestamptz[]), (select @reasons::text[]),
        (select @policy::integer[]))
        g (schedule_id, effective_from, due_at, until, fires_at, missed, policy)
),
due as materialized (
    select g.*, s.version, s.name, s.task, p.overlap, coalesce(n.fired, 0) + case when p.max_runs is null then 0 else (
            select count(*) from tactus.shadow_runs r
            where r.schedule_id = s.id and r.due_at > s.trigger_set_at and r.fate = 'fire') end >= p.max_runs as used_up
    from lease, given g join tactus.schedules s on s.id = g.schedule_id and s.effective_from = g.effective_from
        and s.policy = ((select @policies::text[]))[g.policy]
    cross join json_to_record(s.policy::json) p (max_runs bigint, overlap text)`

const shadowRunsSQL = `
    where lease.due and s.enabled and s.deleted_at is null
        and not exists (select from outdated o where o.policy = g.policy)
),
run as (
    insert into tactus.shadow_runs (schedule_id, due_at, until, fires_at, fate, reason,
        schedule_version, schedule_name, task_name, args, kwargs)
    select schedule_id, due_at, until, fires_at,
        case when missed is not null then 'missed' when used_up then 'skipped' else 'fire' end,
        case when missed is not null then missed when used_up then '` + reasonUsedUp + `'
            when overlap is not null then '` + reasonOverlap + `' end,
        version, name, task_name, case when length(args::text) <= ` + longest + ` then args end,
        case when length(kwargs::text) <= ` + longest + ` then kwargs end
    from due s cross join lateral (
        select coalesce(` + sqlexpr.TaskName + `, '') as task_name,
            ` + sqlexpr.TaskArgs + ` as args, ` + sqlexpr.TaskKwargs + ` as kwargs) t
    on conflict (schedule_id, due_at) do nothing
    returning fate, reason
)
select exists (select from lease), coalesce((select not due from lease), false),
    (select count(*) from run), (select count(*) from run where fate = 'fire'),
    (select count(*) from run where fate = 'missed' and reason not like '` + domain.ReasonExcluded + `%' and reason not like '` + domain.ReasonSkipped + `%'),
    (select count(*) from run where reason like '` + domain.ReasonExcluded + `%'),
    null::bigint,
    array(select schedule_id from given, lease where lease.due except select schedule_id from due),
    array[]::uuid[], null, array[]::uuid[], array[]::timestamptz[]`

// Reasons that a shadow records for a due time that would not fire, or whose firing depends on runs that the shadow
// does not know.
const (
	reasonUsedUp  = "max_runs is reached"
	reasonOverlap = "would fire, unless the previous run is unfinished: its execution policy is not applied in shadow mode"
	longest       = "4096" // characters; longer arguments are not recorded
)

// shadowSetAsideSQL records a due time that shadowFireDueSQL could not record. It takes nothing from the schedule but
// its name.
const shadowSetAsideSQL = `
with lease as materialized (
    select epoch from tactus.leases where name = 'shadow' and epoch = @epoch` + lockTimeoutSQL + ` for share
),
run as (
    insert into tactus.shadow_runs (schedule_id, due_at, until, fires_at, fate, reason,
        schedule_version, schedule_name, task_name)
    select s.id, @due::timestamptz, @until::timestamptz, @due::timestamptz, 'missed',
        'set aside: it cannot be fired: ' || @error::text,
        @version::bigint, s.name, ''
    from lease join tactus.schedules s on s.id = @schedule::uuid
    on conflict (schedule_id, due_at) do nothing
)
select exists (select from lease)`

// shadowSettledFromSQL is settledFromSQL for the rows of a shadow.
const shadowSettledFromSQL = `
select w.schedule_id, r.due_at, coalesce(r.until, r.due_at)
from unnest(@schedules::uuid[], @from::timestamptz[], @due::timestamptz[]) w (schedule_id, since, due)
cross join lateral (
    select due_at, until from tactus.shadow_runs
    where schedule_id = w.schedule_id and due_at >= coalesce((
        select max(due_at) from tactus.shadow_runs where schedule_id = w.schedule_id and due_at between w.since and w.due
    ), w.due)
    order by due_at limit @most::bigint
) r
order by w.schedule_id, r.due_at`

// retireBeside retires a shadow once a beat that fires renews its lease: tactus is in charge then, and if that beat
// stops again, nothing tells the shadow that the old beat is back in charge. A lease that is not renewed while the
// shadow looks belongs to a beat that has stopped already, and runs out.
func (b *Beat) retireBeside(firing *time.Time) {
	switch {
	case !b.cfg.Shadow || firing == nil || b.shadow.retired:
	case b.shadow.beside == nil:
		b.shadow.beside = firing
	case !firing.Equal(*b.shadow.beside):
		b.shadow.retired = true
		b.log.Error("a beat that fires has come: this one, in shadow mode, does nothing any more")
	}
}

// switchFromShadow tells memory when a beat that fires took over from a shadow. Earlier due times were another beat's
// to fire.
func (b *Beat) switchFromShadow(at *time.Time) {
	if at == nil || b.cfg.Shadow {
		return
	}
	b.memory.SwitchedAt = at.UnixMicro()
	if b.lease.taken.Watermark == nil || at.After(*b.lease.taken.Watermark) {
		b.log.Warn("took over from a beat in shadow mode: what was due before is recorded as missed, and does not fire",
			"switched", *at, "reason", domain.ReasonShadow)
	}
}
