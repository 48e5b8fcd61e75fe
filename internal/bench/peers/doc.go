// Command peers compares tactus with other libraries: the cron engine with robfig/cron v3, which most Go programs use,
// and the relay with watermill-sql and Watermill's own forwarder. It also measures everything that "tactus bench" does,
// in the same run.
//
// It is a module of its own, so that nobody who imports tactus sees the peers.
package main
