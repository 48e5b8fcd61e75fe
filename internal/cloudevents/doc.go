// Package cloudevents translates rows of the log into what the outside reads: CloudEvents 1.0 in JSON, as the payload of
// a Watermill message. It only translates; others publish and read.
//
// What it promises:
//
//   - The same row in the same epoch makes the same bytes, so that what is published again is what was published before
//     (TestGolden holds them fast).
//   - The id of an event, and of its message, is `<aggregate>/<version>`: whoever has seen it need not see it again.
//   - (epoch, version) orders the events of one schedule.
//   - Trace headers of the row go into the metadata of the message; the payload does not depend on them.
//
// Besides, [Notice] makes the short note that goes out by Pub/Sub, in the words that listeners of the seed already know.
package cloudevents
