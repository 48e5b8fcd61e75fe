// Package shadow compares what tactus would fire with what another beat sends while that beat is in charge.
//
// A beat in shadow mode records what it would fire (tactus.shadow_runs; see package beat). Meanwhile a [Watcher]
// listens to Celery's events, and records which tasks are sent (tactus.shadow_sent) and when it listened
// (tactus.shadow_watches). [Read] reads these records, and [Compare], which does no I/O, compares them.
//
// # What the watcher hears
//
// A process with task_send_sent_event sends an event for each task that it sends, with its own name: the old beat does,
// and so may any application. A worker with -E sends an event for each task that it receives, without the name of the
// sender. The watcher ignores tasks that another task has called. Read leaves out the tasks that tactus itself has
// handed over.
//
// # What is compared
//
//   - A due time matches a task of the same name and arguments that was sent within the tolerance around the due time.
//   - The due times of an interval match one by one, whatever their phase: Celery's beat counts an interval from its
//     last send, and drifts.
//   - A time in which nobody listened, or in which the shadow was away, is not judged.
//   - If the tasks of some senders match, a sender none of whose tasks match is not a beat. It is shown separately.
//
// The report guesses why something differs; a guess may be wrong.
package shadow
