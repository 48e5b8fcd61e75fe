// Package notify notifies people and programs of what has happened to runs and schedules, by rules
// (domain.NotificationRule).
//
//	a run ends ──┐ one statement        ┌─▶ stream of runs (Redis)
//	             ├─▶ row of the outbox ─┤                 ┌ gathers ┐
//	sweep ───────┘   topic "happening"  └─▶ Rules (a sink) ─▶ delivery ─▶ Publisher ─▶ the destination
//	                                        of the relay                    HTTP
//
// A happening is a row of the outbox. The statement that makes it happen writes the row (sqlexpr.Told), but only while
// a rule wants to hear of it. The relay carries the rows to [Rules], a sink that writes to tables. This sink compares
// its mark before it writes, so a relay that repeats itself notifies nobody twice. The happenings for a rule gather in
// one delivery until a courier begins to send it. [Courier] sends deliveries, each through a Watermill publisher.
//
// What it promises:
//
//   - A happening is told only after it was committed, and at least once: if the answer of a destination is lost, the
//     destination gets the same notification again, under the same webhook-id.
//   - A destination that hangs, refuses or answers nonsense delays no other: each rule has at most one delivery under
//     way, a failed delivery waits longer each time, and what happens meanwhile gathers, with a count.
//   - A delivery that fails for good is a dead letter, which can be put back.
//   - No connection is made to an address of a private network unless the operator allows it. The address that is
//     dialed is the one that was checked, for each redirect, too.
//   - Secrets are in one table (tactus.notification_secrets), which only [Courier] reads. They are in no event, log,
//     error or answer, except that a key which tactus generates is shown once, in the answer to the request that made
//     it.
package notify
