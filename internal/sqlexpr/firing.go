package sqlexpr

// NearFiring begins a statement that looks for the event of a run, @id, which was fired at @fired_at; FromNearFiring
// ends it, behind what it selects of the event. The log has no index by run, but positions rise with time, except among
// statements that ran at once. So a binary search finds where the events of that time begin, and the event is in a
// window around there, or not found.
const (
	NearFiring = `
with recursive ends as materialized (
    select (select position from tactus.outbox where topic = 'run' order by position limit 1) as low,
        (select position from tactus.outbox where topic = 'run' order by position desc limit 1) as high
),
halved (low, high, n) as (
    select low, high, 0 from ends where low is not null
    union all
    select case when at.occurred_at < @fired_at::timestamptz then at.position else low end,
        case when at.occurred_at < @fired_at::timestamptz then high else middle - 1 end, n + 1
    from halved, lateral (select (low + high + 1) / 2 as middle) m, lateral (
        select position, occurred_at from tactus.outbox where topic = 'run' and position >= middle
        order by position limit 1
    ) at
    where low < high and n < 64
),
near as materialized (select low from halved order by n desc limit 1)`

	FromNearFiring = ` from tactus.outbox, near
where topic = 'run' and position >= low - 2000 and position <= low + 20000 and aggregate_id = @id and version = 1
order by position limit 1`
)
