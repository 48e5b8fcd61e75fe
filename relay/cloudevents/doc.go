// Package cloudevents encodes rows of the log for other programs: as CloudEvents 1.0 in JSON, which are the payloads of
// Watermill messages. It does no I/O: other packages publish and read.
//
// What it promises:
//
//   - The same row in the same epoch always yields the same bytes, so an event that is published again is identical
//     (TestGolden pins the bytes).
//   - The id of an event, and of its message, is `<aggregate>/<version>`: a reader that has seen an id can skip it.
//   - (epoch, version) orders the events of one schedule.
//   - The trace of a row (W3C's traceparent) goes into the metadata of the message, and into the payload as
//     CloudEvents' extension for distributed tracing. So do the headers that say who made the change, and why. All
//     other headers go into the metadata only. A row without a trace yields the same bytes as in releases before
//     tracing.
//
// [Notice] makes the short notice that is published by Pub/Sub, in the format that earlier listeners know.
package cloudevents
