// Package redeliver finds runs that a Celery broker has lost, and has them handed over again, when an operator asks for
// it. The relay itself notices a broker that came back empty or with an old copy of its data, and redelivers by itself;
// this package is for losses that the relay cannot notice: a purged queue, evicted messages, a worker that died with
// messages it had taken.
//
// A run counts as lost when three things hold:
//
//   - the ledger says that it was handed over: its newest event is behind the place that the sink has confirmed;
//   - no worker has reported anything of it: it has not started, finished or expired;
//   - the broker has no message of it, neither in its queue nor among the unacknowledged messages of workers.
//
// What the package promises:
//
//   - It hands nothing over itself. It appends a run.due event with the run's next version to the log, and a relay
//     hands the run over, under the same task id, as it does any other.
//   - A run that is known to have started, finished or expired is never handed over again: this is checked when the
//     event is appended, and once more when the relay hands it over (TestStartedMeanwhile).
//   - A run that is still to be handed over for the first time, that waits in the broker, or for which redelivery was
//     asked already, is not lost (TestWhatIsLost). So the command can be repeated.
//   - A queue that cannot be read (another type, no permission) is reported and its runs are left alone, while the runs
//     of all other queues are checked (TestQueueThatCannotBeRead). If the unacknowledged messages cannot be read,
//     nothing is lost or found: the whole search fails.
//   - A task that ignores its result reports nothing when it is done, so it may have run. Such runs are left out unless
//     asked for.
//
// It reads the queues in pages, and keeps 16 bytes for each message in them.
package redeliver
