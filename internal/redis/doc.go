// Package redis is the transport over Redis: the sinks that the relay writes to, a publisher and a subscriber for
// Watermill that work in batches, and the feed through which a beat hears of changes. Messages have the wire format of
// watermill-redisstream: a stock subscriber can read our streams, and our subscriber can read a stock publisher's.
//
// # Sinks
//
// [EventSink] appends to one stream; [TaskSink] hands runs over to Celery lists and task streams. Both implement
// relay.Sink by one protocol. Each append names the mark that it follows, an epoch and the ID of the last entry. A
// script compares that mark with the one the sink holds, and writes entries and the new mark only when the two agree
// (see lua/mark.lua):
//
//	relay                          Redis
//	append behind (e, 4-2)  ---->  mark (e, 4-2): writes 4-3 and 4-4, mark (e, 4-4)
//	       the answer is lost  x<--  ok
//	append behind (e, 4-2)  ---->  mark (e, 4-4): writes nothing
//	                        <----  mismatch, (e, 4-4): the entries are there
//
// So
//
//   - no entry is appended twice, whatever is retried, and a relay that another has replaced cannot append, because the
//     other has moved the mark;
//   - a sink answers with what it really holds: the event sink with the last ID of the stream itself, which survives
//     trimming, the task sink with the mark, which the pushing script writes too. When Redis comes back empty or with
//     an old copy of its data, Mark returns an older mark, and the relay appends again from there;
//   - the calls of one append are sent together, without waiting for answers: each names the mark at which the call
//     before it is to end, and does nothing when that call has ended elsewhere;
//   - a script does not roll back. When an entry fails in the middle, the mark is the entry before it. An entry that
//     can never be taken (its key has another type) is a relay.Refused, and the relay sets it aside. Errors that
//     concern the whole server (out of memory, a replica, loading) are plain errors, for which no entry is set aside;
//   - a run that goes through an exchange is put into all queues bound to the exchange, or into none;
//   - entries that somebody else appended to the event stream are deleted, and reported to Alarm (see
//     lua/event_repair.lua).
//
// The keys of an event sink share a hash tag, so it works on a Cluster. A task sink writes keys of any name in one
// script, so it needs a single server, or Sentinel.
package redis
