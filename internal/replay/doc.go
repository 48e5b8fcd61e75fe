// Package replay publishes a range of the log again, into a stream of its own.
//
// What it promises:
//
//   - It publishes the events that were committed when the replay began, under the ids that they always had; a header
//     ([Header]) marks them as replayed.
//   - It can be interrupted at any point and continued. The ID of an entry is the event's position in the log, so the
//     stream itself says where to continue. No event comes twice or out of order, even when an answer was lost or two
//     replays run at once (TestInterrupted, TestTwoAtOnce).
//   - It never runs anything. It refuses events of runs, and keys that workers may read: a queue, a task stream, the
//     stream that the relay fills, or anything that exists already and is not a replay (TestRefused).
//   - It gets in nobody's way: it holds no transaction open, reads in pages, and keeps to the rate it is given.
package replay
