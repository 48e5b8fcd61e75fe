// Package outage has api, relay and beat meet a PostgreSQL that takes no writes: one that is read-only, and one whose files
// cannot grow, which is to it what a full disk is (it writes a part of a page, and says that there is no space). Each says so,
// nothing is lost, and all go on by themselves once there is room: every event is in the stream, and every due time of the
// whole while has a run or a reason. A disk that is too full for the write-ahead log stops PostgreSQL, which is a crash, and
// is shown elsewhere.
package outage
