// Package verify checks that what tactus promises is so: it compares the log in Postgres with the stream, with the
// projection and with the runs, and tells every difference.
//
// What must hold:
//
//   - Every event in Postgres is in the stream, and nothing else is (from the stream's oldest entry on, and up to what the
//     relay has published; what it has not is counted, and is a problem only after [Config.Wait]).
//   - In Postgres and, within an epoch, in the stream the versions of a schedule rise by one, and nothing comes twice. An
//     event in the stream says, byte by byte, what the one in Postgres says.
//   - tactus.schedules is what [domain.Apply] makes of the events, with its derived columns and its tombstones.
//   - A due time has at most one run or lies in one missed range, also when the unique index is gone; each fired run has
//     exactly one first run.due event, and each such event has its run.
//   - In a window ([Config.Window]) every due time of a schedule that was enabled has a run or a reason, and every run was due.
//     What was due while a beat in shadow mode watched another one is left out.
//
// It may run beside everything else. The stream is read first, backwards from its end, so that trimming takes away only
// what is not needed; then one snapshot of Postgres is read, in which everything that was in the stream must be. The end of
// the stream tells how far the relay has come, and relay_batches which rows that means. Nothing here is written, and no
// arithmetic of the relay is repeated: what the relay says of itself only decides how much is to be there.
//
// Memory grows by some 100 bytes a schedule, and not with events or with what is in them: the stream and the log are read once, in
// pages whose bytes are bounded. What is lacking takes some more, each event, and of a window ([Config.Window]) the runs and the
// changes of one schedule are there at a time (TestMemoryIsBounded).
//
// The tests show that it can fail: a relay that reads by position and one that trusts a pipeline lose events under it,
// and each kind of problem is provoked once.
package verify
