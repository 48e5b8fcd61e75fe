package sqlexpr

// OccurredAt is when an event (a row of tactus.outbox, columns unqualified) occurred, within the years that Go and JSON
// have. A hand may have written another time, infinity too, which would end every read of the rows beside it.
const OccurredAt = `least(greatest(occurred_at, '0001-01-01T00:00:00Z'), '9999-12-31T23:59:59Z')`

// BeforeEpoch is true of events of schedules (rows of tactus.outbox, columns unqualified) that were committed before
// the epoch of a sink of schedules began. They are there whatever their xid says: in a database that was restored it is
// another server's, and may be still to come.
const BeforeEpoch = `exists (
    select from tactus.relay_sinks b where b.topic = 'schedule' and position <= b.floor and xid <> all (array(select pg_snapshot_xip(b.late))))`

// ToStream is true of the events of runs that may go to a task stream, in the words of the index outbox_run_streams. It
// does not decode what users wrote.
const ToStream = `strpos(data::text, '"stream"') > 0`
