// Package shadow tells whether tactus would do what another beat does, while that one is in charge.
//
// A beat in shadow mode records what it would fire (tactus.shadow_runs; see package beat). A [Watcher] hears Celery's events
// meanwhile and records what is really sent (tactus.shadow_sent), and when it listened (tactus.shadow_watches). [Read] reads
// both, and [Compare], which is pure, holds one against the other.
//
// # What is heard
//
// A process with task_send_sent_event tells of each task that it sends, with its own name: the old beat, and any
// application besides. Workers with -E tell of each task that they receive, with nothing about who sent it. Tasks that another
// task has called are left out, and so are those that tactus itself has handed over.
//
// # What is compared
//
//   - A due time matches a task of the same name and arguments that was sent within the tolerance around it.
//   - Intervals match one by one, whatever their phase: Celery's beat counts them from its last send, and drifts.
//   - Nothing is said about a time in which nobody listened, or the shadow was away.
//   - A sender none of whose tasks match is no beat, when another's do. It is shown apart.
//
// The guesses at why something differs are guesses.
package shadow
