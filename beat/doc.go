// Package beat keeps all schedules in memory and fires what is due, exactly once per due time.
//
// # Words
//
// A schedule's due time is a nominal instant; it fires then, or later by its jitter. What has fired, and what was
// missed, is settled: it has a row in tactus.runs. The watermark is the instant up to which everything is settled. To
// sync is to read changed schedules, to resync is to compare all of them.
//
// # Two beats
//
//	          load                lease is free or ran out
//	started ───────▶ standby ─────────────────────────────▶ leader
//	                    ▲                                      │
//	                    └──────────────────────────────────────┘
//	                          the lease has another epoch
//
// One row, the lease, has a holder and an epoch, which rises with each new holder. The leader renews it at a third of
// its time, and with it writes the watermark and the snapshot of the log up to which it has read. A standby keeps the
// same memory, moved on by the watermark, and takes the lease as soon as it runs out; a clean stop lets it run out at
// once (TestTakeoverInTime: within a second). That an epoch has one owner and a due time one firing is checked from
// histories of beats that contend (TestOneOwnerAnEpoch).
//
// # Shadow mode
//
// While a team still has another beat in charge, a shadow decides in all ways as a beat does, under a lease of its
// own, and records what it would fire in tactus.shadow_runs: no run, no event, no count. It begins at the moment it
// takes its lease.
//
//   - Beside a beat that fires it does nothing, and once it has seen one it does nothing for good (retired): a restart
//     of that beat is no time in which another one is in charge.
//   - The first beat that fires after it notes the moment (the lease named switch): what was due until then was
//     another's. It is recorded as missed, with that reason, and does not fire, however the shadow ended and however
//     long ago. What is due after it fires.
//
// TestShadowDecidesAndFiresNothing, TestSwitchFromShadow, TestShadowBesideOneThatFires and TestBackToTheOldBeat show
// it.
//
// # What it promises
//
//   - A due time fires once. Its row in tactus.runs is unique; its run.due event is written by the statement that
//     wrote the row.
//   - It does not fire after a change that was committed before it: the statement joins the schedule as it is then, and
//     demands the effective_from that memory has. What does not join is synced again.
//   - A beat that was stopped and resumed fires nothing: the statement demands the lease's epoch, and locks it.
//   - Memory moves on only after a commit. A crash between the commit and its answer repeats what it did, which does
//     nothing then.
//   - What is settled does not depend on a policy that may change: the watermark goes by when due times fire, so what
//     was edited since it was written is looked at from the due time before it (TestJitterEditAcrossARestart).
//   - A schedule's due times are settled in order. So whoever takes over finds in tactus.runs how far its predecessor
//     came.
//   - Nothing that the transport loses is lost: the log is read every second, from a snapshot that a committed row
//     carries.
//   - Where Postgres has gone back memory is made anew, whatever versions say, and fires nothing again that it has
//     settled.
//   - Time is Postgres' clock, carried by the monotonic clock: never early. When Postgres' clock steps, forwards or
//     back, what is due follows it within a poll, and nothing waits for a time to come again
//     (TestPostgresClockSteps).
//   - What fires and what was missed is decided by the policy in the table: the statement demands the one that memory
//     has.
//   - A commit whose answer was lost is settled before anything is decided anew: the lease gets another epoch, so
//     that the statement is over, and what it has recorded is looked for (TestLostAnswerOfMissed).
//   - A row that cannot fire is found by bisection and set aside; all others go on.
package beat
