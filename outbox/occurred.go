package outbox

// OccurredAt is when an event occurred, within the years that Go and JSON have. A hand may have written another time, infinity too,
// which would end every read of the rows beside it.
const OccurredAt = `least(greatest(occurred_at, '0001-01-01T00:00:00Z'), '9999-12-31T23:59:59Z')`
