// Package results finds out what became of the runs that were handed over to Celery workers.
//
//	due ─▶ sent ─▶ started ─┬─▶ succeeded | failed | revoked | expired
//	                 ▲  │   │
//	                 │  ▼   └─▶ unknown (nothing was heard)
//	               retrying
//
// A worker leaves its answer under a key of the result backend and publishes it on a channel of the same name; with
// worker -E it also sends events. The [Collector] listens to both and asks for the keys of open runs now and then, so
// that what was published while nobody listened is found all the same.
//
// What it promises:
//
//   - Every answer that the backend keeps is recorded, however often the backend, Postgres or the collector were away.
//   - A final state never goes back. An answer that comes later than the collector's own conclusion (unknown, or expired
//     with a reason) replaces it: knowledge replaces a guess, never the other way round.
//   - No run is left hanging: one of which nothing was heard for Config.Timeout becomes unknown, with the reason, after its key
//     has been asked for a last time. While the backend does not answer, nothing is concluded.
//   - Any number of collectors may run at once: each update is one statement, and conditional.
//   - What is kept of an answer is bounded. An answer that cannot be read, or kept, holds up no other.
//
// Where runs of a schedule must not overlap, the collector also releases the one that waits, as soon as the previous one has
// finished, or has been silent for too long.
//
// The key is the truth, as it holds the result itself; an event shows it to people only. An event adds what the key does
// not tell: the worker, when it started, and the end of tasks that ignore their result. Without events such a run
// becomes unknown. A stream gives no answers at all: its runs stay sent.
package results
