// Package memory keeps all enabled schedules of a beat in memory, and decides about due times. It has no I/O, no clock
// and no goroutine: each instant, and each row of PostgreSQL, is an argument.
//
// # What it keeps
//
// It keeps one Record per schedule, without pointers. A record takes less than 100 bytes, its share of the index and
// the heap included (BenchmarkLoad of package beat reports the figure). The task that a run executes stays in
// PostgreSQL.
//
//	id ──index──▶ slot ──▶ Record{due, fire, version, trigger no., policy no., ...}
//	                ▲                                   │            │
//	           heap of its tier                      interned     interned
//	      (earliest fire first)                      triggers     policies
//
// The index and the heaps hold slots. A slot is a number of 4 bytes, and stays the same as long as memory has the
// schedule. All schedules together have few distinct triggers and policies, so each text is kept, and parsed, once
// (interned).
//
// # Due and fire
//
// Due is nominal: an instant that the trigger yields. Fire is the same instant, or later by the schedule's jitter and
// spread. The heaps are ordered by Fire, since that is when a beat has to act; whatever is decided and recorded goes by
// Due.
//
// # Invariants
//
//   - Due is the first due time of the record that is not settled, or Never. Due times of a schedule are settled in
//     order, so all due times before Due are settled.
//   - A record that is not popped is in the heap of its tier, at the index that the record holds (place).
//   - All due times that fire at or before Watermark are settled. Watermark does not see popped records, so the caller
//     pushes them back before it calls Watermark.
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
// Decide changes nothing in memory: a record moves on only when the caller calls SetDueAfter, after the commit of the
// decision. If memory moved on before, a failed commit would lose the due time.
package memory
