// Package replay publishes a range of the log again, into a stream of its own.
//
// What it promises:
//
//   - The events are those that were there when the replay began, with the ids that they always had; a header ([Header])
//     marks them as replayed.
//   - It can be interrupted anywhere and gone on with: the stream itself tells how far it is, for the ID of an entry is the
//     event's position in the log. Nothing comes twice or out of order, also when an answer was lost or two replays run at
//     once (TestInterrupted, TestTwoAtOnce).
//   - It never runs anything. Events of runs are refused, and a key that workers may read is no place for a replay: a queue,
//     a task stream, the stream that the relay fills, or anything else that is there already (TestRefused).
//   - It is in nobody's way: it holds no transaction, reads in pages, and goes no faster than it is told.
package replay
