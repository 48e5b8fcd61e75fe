// Package beat fires schedules, exactly once for each due time. A beat keeps all enabled schedules in memory (package
// memory), hears of their changes, and settles due times by statements of up to 5,000 due times each.
//
// # Words
//
// A due time of a schedule is a nominal instant. It fires then, or later by its jitter. A due time that has fired or
// was missed is settled: it has a row in tactus.runs. The watermark is the instant up to which all due times that fire
// by then are settled. To sync is to read the schedules that changes have named; to poll is to read the log for such
// names; to resync is to compare memory with all schedules. The lease says which beat fires; its term numbers the
// holdings of the lease.
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
// The leader renews the lease whenever a third of its time has passed. With each renewal it writes the watermark, and
// the snapshot of the log up to which its memory has all changes. A standby keeps the same memory, advances it by the
// watermark, and takes the lease as soon as the lease runs out. A leader that stops cleanly gives the lease up at once,
// so that a standby takes over within a second (TestTakeoverInTime). TestOneOwnerAnEpoch checks histories of contending
// beats: each term has one holder, and each due time fires once.
//
// # Shadow mode
//
// While a team's old beat is still in charge, a shadow decides as a beat does, under a lease of its own, but only
// records in tactus.shadow_runs what it would fire: it makes no run, no event and no count. It begins with what is due
// after the moment at which it takes its lease.
//
//   - A shadow does nothing beside a beat that fires, and once it has seen such a beat renew its lease it does nothing
//     ever again (it is retired). Otherwise it would take each restart of that beat for a time in which the team's old
//     beat is in charge.
//   - The first beat that fires after a shadow records this moment in the lease named switch. Due times up to this
//     moment belonged to the old beat: they are recorded as missed, with that reason, and do not fire, however the
//     shadow ended and however long ago. Later due times fire.
//
// TestShadowDecidesAndFiresNothing, TestSwitchFromShadow, TestShadowBesideOneThatFires and TestBackToTheOldBeat show
// it.
//
// # What it promises
//
//   - A due time fires once. Its row in tactus.runs is unique, and the statement that writes the row writes its
//     run.due event.
//   - A due time does not fire if a change that was committed before has disabled, deleted or restarted its schedule:
//     the statement joins the current row of the schedule, and demands the effective_from that memory has. A schedule
//     that does not join is synced again.
//   - A beat that was stopped and resumed after its lease had passed on fires nothing: the statement demands the beat's
//     own term in the row of the lease, and locks this row.
//   - Memory moves on only after a commit. A crash between the commit and its answer repeats the statement, which then
//     changes nothing.
//   - An edit of a schedule's jitter loses no due time. The watermark goes by when due times fire, which the jitter
//     decides, so a new leader decides again the last due time before the watermark if the schedule was edited since
//     the watermark was written (TestJitterEditAcrossARestart).
//   - Due times of a schedule are settled in order, so a new leader finds in tactus.runs how far its predecessor got.
//     The exception are due times that fire early because PostgreSQL's clock is ahead (see withdraw.go).
//   - No change is lost if Redis or the relay loses it: the beat reads the log every second, from a snapshot that a
//     committed row holds.
//   - If PostgreSQL was put back to an earlier state, memory is rebuilt from the rows, whatever their versions, and no
//     due time fires again that memory knows to be settled.
//   - Time is PostgreSQL's clock, extrapolated by the local monotonic clock, and never early. When PostgreSQL's clock
//     steps, forward or back, the beat follows within a poll, and does not wait until a clock that went back has caught
//     up (TestPostgresClockSteps). Due times that were recorded as missed while the clock was ahead are due again once
//     the clock is right (TestGoesOnAfterAClockThatWasAhead).
//   - Whether a due time fires or was missed is decided by the policy in the table: the statement demands that it
//     equals the policy that memory has.
//   - If the answer to a firing statement is lost, nothing is decided before the lease has a new term, under which that
//     statement can no longer commit. Then the beat looks up what the statement recorded (TestLostAnswerOfMissed).
//   - A due time that cannot be settled is found by bisection and set aside. All others are settled.
package beat
