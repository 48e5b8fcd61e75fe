// Package memory keeps all enabled schedules of a beat in memory, and decides what is due. It has no I/O, no clock
// and no goroutine: each instant, and each row of PostgreSQL, is an argument.
//
// # What it keeps
//
// One Record a schedule, without pointers, in less than 100 bytes with all that leads to it (BenchmarkLoad of package
// beat reports the figure). What a run executes stays in PostgreSQL.
//
//	id ──index──▶ slot ──▶ Record{due, fire, version, trigger no., policy no., ...}
//	                ▲                                   │            │
//	           heap of its tier                      interned     interned
//	      (earliest fire first)                      triggers     policies
//
// The index and the heap hold slots, which are 4 bytes and stay the same as long as the schedule is known. Schedules
// share few distinct triggers and policies, so each text is kept, and parsed, once (interned).
//
// # Due and fire
//
// Due is nominal: an instant that the trigger yields. Fire is the same instant, or later by the schedule's jitter.
// The heap is ordered by Fire, since that is when a beat must act; everything that is decided and recorded goes by
// Due.
//
// # Invariants
//
//   - Due is the first due time of the record that is not settled, or Never. Due times of a schedule are settled in
//     order, so everything before Due is settled.
//   - A record that is not popped is in the heap of its tier, at its place.
//   - All due times that fire at or before Watermark are settled. Popped records do not count for it, so whoever pops
//     them pushes them back before asking.
//
// # What happens to a record
//
//	         Put: a new schedule, or one whose due times count from another instant
//	           │
//	           ▼
//	┌────▶ in the heap ──Pop──▶ decided (Decide) ──the statement committed: SetDueAfter(last)──┐
//	│          │  ▲                    │                                                       │
//	│          │  └──Push, unchanged───┘ the statement failed, or did nothing                  │
//	│          ▼                                                                               │
//	│        Remove: deleted, disabled or done                                                 │
//	└──────────────────────────────────────────Push────────────────────────────────────────────┘
//
// A Decision changes nothing here: memory moves on only when the caller says that the decision is committed. If
// memory moved on before, a failed commit would lose the due time.
package memory
