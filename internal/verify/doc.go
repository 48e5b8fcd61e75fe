// Package verify checks what tactus promises: it compares the log in PostgreSQL with the stream, with the projection
// and with the runs, and reports every difference.
//
// What must hold:
//
//   - Every event in the log is in the stream, and no others are. This concerns the stream from its oldest entry on, up
//     to the place that the relay has reached; events beyond that place are counted, and are a problem only after
//     [Config.Wait].
//   - The versions of a schedule rise by one in the log, and in the stream within an epoch, and none comes twice. An
//     event in the stream equals, byte by byte, the event in the log.
//   - tactus.schedules is what [domain.Apply] makes of the events, including derived columns and tombstones.
//   - A due time has at most one run, or lies in one missed range, even if the unique index is gone. Each fired run has
//     exactly one first run.due event, and each such event has its run.
//   - In a window ([Config.Window]) every due time of a schedule that was enabled has a run or a reason, and every run
//     was due. Due times while a beat in shadow mode watched another beat are left out.
//
// The check may run beside everything else. Its order makes that sound:
//
//  1. Read the stream, backwards from its end. Trimming meanwhile removes only entries that the check reads last.
//  2. Read PostgreSQL, in one snapshot. Every event that was in the stream is in the snapshot, because an event is
//     committed before it is published.
//
// The last ID of the stream says how far the relay has come, and the relay's batches say which rows that is (see edge).
// The check writes nothing and does not repeat the relay's logic: the relay's bookkeeping only decides how much must be
// in the stream.
//
// Memory grows by about 100 bytes for each schedule, but not with the number or size of events: the stream and the log
// are read once, in pages of bounded size. Each missing event takes a little more, and for a window the runs and
// changes of one schedule at a time are in memory (TestMemoryIsBounded).
//
// The tests show that the check can fail: a relay that reads by position and one that trusts a pipeline lose events,
// and the check finds them; and each kind of problem is provoked once.
package verify
