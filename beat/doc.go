// Package beat fires what is due, exactly once for each due time. It keeps all enabled schedules in memory (package
// memory), hears of changes, and settles due times by one statement for up to 5,000 of them.
//
// # Words
//
// A schedule's due time is a nominal instant. It fires then, or later by its jitter. What has fired, and what was
// missed, is settled: it has a row in tactus.runs. The watermark is the instant up to which everything that fires is
// settled. To sync is to read the schedules that changes have named; to poll is to read the log for such names; to
// resync is to compare memory with all schedules. The lease says which beat fires, its term which holding of it that
// is.
//
// # Where to read
//
//	start ──▶ load ──▶ step, again and again ──▶ release
//	                    │
//	                    ├─ renew        lease.go, takeover.go, goneback.go: who fires
//	                    ├─ poll         poll.go: what the log names
//	                    ├─ withdraw     withdraw.go: what a clock judged that was ahead
//	                    ├─ fire         fire.go: collect, decide, move on
//	                    │   └─ settle   settle.go: the statement; setaside.go, locked.go: one bad row among many
//	                    ├─ resyncPage   resync.go: memory against all schedules
//	                    ├─ sync         sync.go: read what is named
//	                    └─ invalidate   invalidate.go: schedules that cannot be read
//
//	listen.go runs beside it and fills the inbox; shadow.go is what a shadow does differently.
//
// testdata/transcripts shows what happens in plain words, and TestTranscripts plays it.
//
// # Two beats
//
//	          load                lease is free or ran out
//	started ───────▶ standby ─────────────────────────────▶ leader
//	                    ▲                                      │
//	                    └──────────────────────────────────────┘
//	                           the lease has another term
//
// The leader renews the lease at a third of its time, and writes with it the watermark and the snapshot of the log
// that memory has. A standby keeps the same memory, moved on by the watermark, and takes the lease as soon as it runs
// out; a clean stop gives it up at once (TestTakeoverInTime: within a second). That a term has one holder and a due
// time fires once is checked from histories of beats that contend (TestOneOwnerAnEpoch).
//
// # Shadow mode
//
// While a team still has another beat in charge, a shadow decides as a beat does, under a lease of its own, and
// records what it would fire in tactus.shadow_runs: no run, no event, no count. It begins at the moment it takes its
// lease.
//
//   - Beside a beat that fires it does nothing, and once it has seen one it does nothing for good (retired): a
//     restart of that beat is no time in which another one is in charge.
//   - The first beat that fires after it notes the moment, as the lease named switch: what was due until then was
//     another beat's. It is recorded as missed, with that reason, and does not fire, however the shadow ended and
//     however long ago. What is due after it fires.
//
// TestShadowDecidesAndFiresNothing, TestSwitchFromShadow, TestShadowBesideOneThatFires and TestBackToTheOldBeat show
// it.
//
// # What it promises
//
//   - A due time fires once. Its row in tactus.runs is unique, and the statement that writes the row writes its
//     run.due event.
//   - It does not fire after a change that was committed before it: the statement joins the schedule as it is then, and
//     demands the effective_from that memory has. A schedule that does not join is synced again.
//   - A beat that was stopped and resumed fires nothing: the statement demands the lease's term, and locks the row.
//   - Memory moves on only after a commit. A crash between the commit and its answer repeats the statement, which then
//     changes nothing.
//   - What is settled does not depend on a policy that may change. The watermark goes by when due times fire, so a
//     schedule that was edited since is decided again from the due time before it (TestJitterEditAcrossARestart).
//   - Due times of a schedule are settled in order, but for those that fire early by a clock that is ahead, so whoever
//     takes over finds in tactus.runs how far its predecessor came.
//   - No change is lost with the transport: the log is read every second, from a snapshot that a committed row carries.
//   - Where PostgreSQL has gone back, memory is made anew whatever versions say, and nothing that memory knows to be
//     settled fires again.
//   - Time is PostgreSQL's clock, carried on by the monotonic clock, so nothing fires early. When PostgreSQL's clock
//     steps, forward or back, what is due follows it within a poll, and nothing waits for a time to come again
//     (TestPostgresClockSteps). What was missed by a clock that was ahead is due again when it is back
//     (TestGoesOnAfterAClockThatWasAhead).
//   - What fires and what was missed is decided by the policy in the table: the statement demands the one that memory
//     has.
//   - A commit whose answer was lost is dealt with before anything is decided again: the lease gets another term,
//     which ends what the statement can do, and what it has recorded is looked up (TestLostAnswerOfMissed).
//   - A due time that cannot be settled is found by bisection and set aside; all others go on.
package beat
