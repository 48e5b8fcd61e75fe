// Package redeliver hands runs over again that a Celery broker has lost, when somebody asks for it. What a relay notices by
// itself (a broker that came back empty, or with an old copy) it hands over again by itself; this is for what it cannot
// notice: a queue that was purged, messages that were evicted, a worker that died with what it had taken.
//
// A run counts as lost when Postgres says that it was handed over and nothing more, and the broker has no message of it:
// neither in its queue nor among those that workers have taken and not acknowledged.
//
// What it promises:
//
//   - It hands nothing over itself. It appends a run.due event of the same run, with the next version, to the log; a
//     relay hands that over, under the same task id, as it does any other.
//   - What is known to have started, to be done or to have expired is never handed over again: it is looked at when the
//     event is appended, and once more when the relay hands it over (TestStartedMeanwhile).
//   - What is still to be handed over for the first time, what waits in the broker, and what was asked for already, are no
//     losses (TestWhatIsLost). So it may be called again.
//   - A queue that cannot be read (another type, a user without the right) is told of, and its runs are left alone; those of all
//     other queues are looked for as ever (TestQueueThatCannotBeRead). Without what workers have taken (unacked) nothing is.
//   - A task that ignores its result tells nothing when it is done: it may have been. Such are left out unless asked for.
//
// It reads the queues in pages, and keeps 16 bytes for each message in them.
package redeliver
