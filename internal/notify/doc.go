// Package notify tells people and programs what has happened to runs and schedules, by rules (domain.NotificationRule).
//
//	a run ends ──┐ one statement        ┌─▶ stream of runs (Redis)
//	             ├─▶ row of the outbox ─┤                 ┌ gathers ┐
//	sweep ───────┘   topic "happening"  └─▶ Rules (a sink) ─▶ delivery ─▶ Publisher ─▶ the destination
//	                                        of the relay                    HTTP
//
// What has happened is a row of the outbox, written by the statement that made it happen (sqlexpr.Told), and only while
// a rule wants it. The relay carries the rows to [Rules], a sink that is a table: it compares before it writes, so
// nothing is told twice because of a relay, and what a rule is to tell gathers in one delivery until somebody begins to
// send it. [Courier] sends deliveries, each through a Watermill publisher.
//
// What it promises:
//
//   - What happened is told once it was committed, at least once: a destination may be told again what it has taken
//     when its answer is lost, under the same webhook-id.
//   - A destination that hangs, refuses or answers nonsense delays nothing else: each rule has one delivery under way
//     at most, a failed one waits longer each time, and what happens meanwhile gathers, with a count.
//   - A delivery that fails for good is a dead letter, which can be put back.
//   - No address of a private network is connected to unless the operator allows it. The address that is dialed is the
//     one that was looked at, for each redirect too.
//   - Secrets are in one table (tactus.notification_secrets), which [Courier] alone reads: in no event, log, error or
//     answer. The answer that makes a key of ours shows it, once.
package notify
