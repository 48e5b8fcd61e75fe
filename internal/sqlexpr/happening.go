package sqlexpr

// Happenings is the topic of what has happened to runs and schedules, for whoever is to be told. Its rows are written
// only while somebody wants them.
const Happenings = "happening"

// Tell and Told are a part of a statement that has ended runs, and append to the log what has happened to those that
// somebody wants to hear of. Between them stands the name of a part before that has the rows, whole (tactus.runs),
// or null, in its column happened. While there is no rule for it, this costs one look at an empty table, and reads none
// of the rows.
const (
	Tell = `
told as (
    insert into tactus.outbox (topic, aggregate_id, version, type, data, occurred_at)
    select '` + Happenings + `', (ended.happened).id, tactus.happening_version(ended.happened), 'run.' ||
        (ended.happened).status,
        tactus.happening(ended.happened, s.name, s.tags, ` + TaskName + `), clock_timestamp()
    from `

	Told = ` ended join tactus.schedules s on s.id = (ended.happened).schedule_id
    where ` + isHeard + `
)`
)

const (
	// isHeard is true of what somebody wants to hear of.
	isHeard = `(select exists (select from tactus.notification_rules where ` + hears + `))
        and ((ended.happened).status = any (array(select unnest(states) from tactus.notification_rules where
            ` + hears + `))
            or (ended.happened).status = 'succeeded'
                and exists (select from tactus.notification_failing f where f.schedule_id =
                    (ended.happened).schedule_id))`

	// mayBeHeard is true of what somebody might want to hear of. Whoever tells the rules of it looks at each again.
	mayBeHeard = `(ended.happened).id is not null`
)

// hears is true of rules (tactus.notification_rules, columns unqualified) that have to hear of states of runs.
const hears = `enabled and deleted_at is null and states <> '{}'`
