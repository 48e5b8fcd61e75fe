// Package results records what became of the runs that were handed over to Celery workers.
//
// \tdue ─▶ sent ─▶ started ─┬─▶ succeeded | failed | revoked | expired
// \t                 ▲  │   │
// \t                 │  ▼   └─▶ unknown (nothing was heard)
// \t               retrying
//
// A worker writes its result to a key of the result backend, and publishes the result on a channel of the same name.
// With worker -E it also sends events. The [Collector] listens to both. From time to time it also reads the keys of
// open runs, and so finds results that were published while nobody listened.
//
// The package promises:
//
//   - Every result that the backend keeps is recorded, however often the backend, PostgreSQL or the collector is away.
//   - A final state never goes back. An answer that comes later than the collector's own conclusion (unknown, or
//     expired with a reason) replaces the conclusion; a conclusion never replaces an answer.
//   - No run stays open for ever: a run of which nothing was heard for Config.Timeout becomes unknown, with the reason,
//     after its key has been read a last time. While the backend does not answer, the collector concludes nothing.
//   - Any number of collectors may run at once: each update is one conditional statement.
//   - The stored part of an answer is bounded. An answer that cannot be read or stored does not hold up any other.
//
// Where runs of a schedule must not overlap, the collector also releases the waiting run, as soon as the previous run
// has finished or has been silent for too long.
//
// Where a key and an event disagree, the key counts: it holds the result itself, and an event only a text for people.
// An event adds what the key does not have: the worker, the time of the start, and the end of tasks that ignore their
// result. Without events such a run becomes unknown. Task streams return no answers: their runs stay sent.
package results
