package outbox

// Before is true, in a condition on tactus.outbox, of events of schedules that were committed before the relay's epoch began.
// They are there whatever their xid says: when the database was restored it is another server's, and may be still to come.
const Before = `exists (
    select from tactus.relay_sinks b where b.topic = 'schedule' and position <= b.floor and xid <> all (array(select pg_snapshot_xip(b.late))))`
