// Package redis is the transport: sinks that the relay fills, Watermill's publisher and subscriber in batches, and the
// feed that a beat hears. Messages have the wire format of watermill-redisstream, so that a stock subscriber
// reads our streams and ours reads a stock publisher's.
//
// # Sinks
//
// [EventSink] appends to one stream, [TaskSink] hands runs to Celery lists and task streams. Both implement relay.Sink: a
// script compares where the sink is with where the relay believes it is, and appends only when they agree. So
//
//   - nothing is appended twice, whatever is retried, and nothing by a relay that another has replaced;
//   - a sink tells what it really holds: the last ID of the stream itself, which survives trimming, or of the key that the
//     same script writes. When Redis comes back empty or with an old copy, Mark says so;
//   - the calls of an append are sent without waiting in between: each goes on from where the one before it is to end, and
//     does nothing when that one has ended elsewhere;
//   - a script does not roll back. When an entry fails in the middle, the last ID is set to the entry before it. An
//     entry that can never be taken (a key of another type) is a relay.Refused; what ails the server (out of memory, a
//     replica, loading) is a plain error, and nothing is set aside for it;
//   - what goes through an exchange of Celery's is put into all queues that are bound to it, or into none;
//   - what somebody else appended to the event stream is taken out, and reported to Alarm.
//
// The keys of the event sink share a hash tag, so it works on Cluster. A task sink writes to keys of any name in one
// script: it needs a single server, or Sentinel.
package redis
