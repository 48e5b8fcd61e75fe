package sqlexpr

// LeftOut is why a backfill leaves a due time out: 'ran' or 'skipped' (by hand); null when it runs. d has the due time,
// as schedule_id and due_at, and whether what ran already runs again. A due time has run when there is a run of it, of
// whatever kind but manual, that was not missed, kept from running, or ended before it began. What is skipped by hand
// is a range with its own end, until. The newest range that began by then is one look at the index runs_ranges, however
// many runs the schedule has.
const LeftOut = `case
    when not d.again and exists (
        select from tactus.runs r where r.schedule_id = d.schedule_id and r.due_at = d.due_at and r.kind <> 'manual'
            and r.status not in ('missed', 'skipped', 'excluded', 'expired') and not (r.status = 'revoked' and r.started_at is null)
    ) then 'ran'
    when (
        select r.status = 'skipped' and left(r.reason, 15) = 'skipped by hand' and r.until >= d.due_at
        from tactus.runs r where r.schedule_id = d.schedule_id and r.until is not null and r.due_at <= d.due_at
        order by r.due_at desc limit 1
    ) then 'skipped' end`
