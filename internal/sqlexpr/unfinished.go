package sqlexpr

// Unfinished is the condition that a run of the schedule s (tactus.schedules) is unfinished, so that another must not
// begin.
const Unfinished = `exists (
    select from tactus.runs b, ` + TaskTimeLimit + ` most
    where b.schedule_id = s.id and b.exclusive and b.finished_at is null and not b.waiting and ` + Heard + `
)`

// Heard is the condition that a run b (tactus.runs) whose time limit is most has not been silent for longer than it can
// take: a started one after its time limit and a minute, any other after @lease, or its time limit when that is longer.
// A run that has been counts as finished, because its answer may have been lost. Whoever asks says by @believed what
// time it is at most (null: what PostgreSQL's clock says), since that clock may have jumped ahead (see slowclock).
const Heard = `coalesce(b.heard_at, b.fired_at) > least(clock_timestamp(), @believed::timestamptz) - case when b.status = 'started' and most > 0
            then (most + 60) * interval '1 second' else greatest(@lease::interval, most * interval '1 second') end`

// StreamHas is the condition that a stream has the run r (tactus.runs). A stream never answers: the run has ended for
// everybody but the relay, which hands it over again if the stream is lost. It has a finished_at only when it is too
// old for that.
const StreamHas = `(r.status = 'sent' and exists (
    select from tactus.schedules s where s.id = r.schedule_id and ` + TaskStream + ` <> ''
))`
