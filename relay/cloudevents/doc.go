// Package cloudevents translates rows of the log into what other programs read: CloudEvents 1.0 in JSON, as the payload
// of a Watermill message. It does no I/O: other packages publish and read.
//
// What it promises:
//
//   - The same row in the same epoch always makes the same bytes, so an event that is published again is identical
//     (TestGolden pins the bytes).
//   - The id of an event, and of its message, is `<aggregate>/<version>`: a reader that has seen an id can skip it.
//   - (epoch, version) orders the events of one schedule.
//   - The trace of a row (W3C's traceparent) goes into the metadata of the message and, as CloudEvents' extension for
//     distributed tracing, into the payload. Its other headers go into the metadata alone, but those that say who made
//     the change, and why. A row without a trace makes the bytes that it always made.
//
// [Notice] makes the short note that goes out by Pub/Sub, in the format that earlier listeners know.
package cloudevents
