// Command peers measures tactus beside what others ship: the cron engine beside robfig/cron v3, the library that most Go
// programs use, and the relay beside watermill-sql with Watermill's own forwarder. It measures everything that "tactus
// bench" does in the same run.
//
// It is a module of its own, so that nobody who imports tactus sees the peers.
package main
