// Package outage tests api, relay and beat with a PostgreSQL that takes no writes: a read-only one, and one whose files
// cannot grow, which PostgreSQL experiences like a full disk (it writes a part of a page, and reports that no space is
// left). Each process reports the reason, and when there is room again, all continue by themselves and nothing is lost:
// every event gets into the stream, and every due time of the outage gets a run or a reason. A disk too full for the
// write-ahead log stops PostgreSQL; other tests show crashes.
package outage
