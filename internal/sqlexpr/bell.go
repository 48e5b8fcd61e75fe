package sqlexpr

// Channel is where the bell is heard (LISTEN).
const Channel = "tactus"

// RingSchedules and RingRuns notify of a row of the topic, only if nobody else is ringing the same bell just now. A
// plain NOTIFY holds a lock of the whole cluster through the commit's fsync, and cost two thirds of the write rate.
// Whoever loses the race need not ring: a listener that was woken reads on for a while, so it sees this transaction
// too. Each is selected from what a statement has written to the log, one row of that.
const (
	RingSchedules = `case when pg_try_advisory_xact_lock(` + ScheduleBellLock + `) then pg_notify('` + Channel + `', 'schedule') end`
	RingRuns      = `case when pg_try_advisory_xact_lock(` + RunBellLock + `) then pg_notify('` + Channel + `', 'run') end`
)
