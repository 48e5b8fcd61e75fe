// Package tracing records what a process does as traces of OpenTelemetry. No other package knows its libraries: relay,
// beat and results each have an interface of their own, which [Traces] fulfils, and what writes to the log is given
// what it needs by the context of its request (package traceparent). Without traces those are nil.
//
// # Traces
//
//	change   request ─▶ event ─┬▶ relay      run   fire ─┬▶ hand over
//	         (api)     (api)   └▶ sync             (beat) ├▶ the worker's own span
//	                             (beat)                   └▶ result
//
// The context of a change stands in the headers of its event, so it takes no other way than the change does. Relay and
// beat are both children of the event: what the relay publishes has the row's own context, because a row that is
// published again must make the same bytes, and spans have ids that are made anew.
//
// A run that fires has no row to spare for a context, and needs none: its trace has the run's id, 16 bytes of a UUID,
// and the span that fires it the last eight of them. Whoever knows the run knows both. A run by hand is part of the
// trace of its request instead; its event says so.
//
// What is told is told of what has happened: a span is made when it has ended, if its trace is sampled. Nothing waits
// for it, and what a collector does not take is dropped.
package tracing
