// Package ledger keeps the relay's books: which batches each sink was given, up to where it is known to have them, and
// on which server the log had which numbers.
//
// # The cursor is a snapshot
//
// A sink has read up to a snapshot (PostgreSQL's pg_snapshot), not up to a position. A pg_snapshot xmin:xmax:xip says
// of every transaction number whether its work was visible: not from xmax on (it had not begun), not if listed in xip
// (it was running), otherwise yes. Let P be the snapshot before and S the snapshot now. The new rows are
//
//	(xid >= xmax(P) or xid = any (xip(P))) and pg_visible_in_snapshot(xid, S)
//
// Invariant: each committed row is in exactly one batch. A transaction becomes visible once and stays so. Snapshots of
// one server are ordered, so there is exactly one pair (P, S) of successive snapshots with the row invisible in P and
// visible in S, and the batch between those two has it. It does not matter how long the transaction took, nor what
// committed meanwhile.
//
// A position cannot be the cursor. Transaction A draws position 1, B draws 2 and commits; a reader goes on from 2; A
// commits. Row 1 is never read. Waiting for the oldest running transaction (pg_snapshot_xmin) loses nothing, but lets
// any long transaction of the whole cluster stop the log.
//
// Rows of one batch are ordered by position. A position is drawn while the row of the schedule is locked, so one
// schedule's events are in order within a batch, and across batches because the later one is invisible until the
// earlier committed.
//
// # Batches
//
// A batch is (P, S, number of rows), committed alone and flushed before any row of it is published. Since the pair is
// stored, the batch reads the same for ever, and a row's ID (batch-row) is the same each time it is published. Batch
// k+1 is inserted only while batch k is there with the snapshot that its reader knows; (sink, number) is unique, so of
// two relays one cuts it and the other finds it.
//
// # Epochs
//
// Transaction numbers are comparable on one server and timeline only. An epoch is a life of the log there, as one sink
// sees it.
//
//	           the sink is new, or: another server or timeline, the newest
//	           batch has seen numbers still to come, the sink is ahead
//	no epoch ───────────────────────────▶ opening ──▶ next ──▶ next ──▶ ...
//	                                         ▲                   │
//	                                         └───────────────────┘  (the same reasons; tasks also: again)
//
// The opening is the epoch's first batch. It has to bring every row that is committed when it is cut and that the sink
// may lack; all later batches together have to bring exactly the rows committed afterwards. Comparing with P alone
// fails here: a restored row may have the number of a transaction that is still to run on this server. It would look
// new for ever after, or be hidden until that number is used. So the opening stores three things, taken in one
// statement with its snapshot S:
//
//   - floor: the highest visible position. A row above it was committed after the opening.
//   - late: a snapshot whose xip lists every transaction that drew its number before this statement drew its own, and
//     that S does not show. A transaction that commits after the opening either begins later, and draws its number and
//     then its positions above floor, or is in late.
//   - seen: the positions of rows that are visible although their xid is in late. Another server wrote them under a
//     number that a transaction uses here.
//
// A row was there when the epoch began exactly if
//
//	position <= floor and (xid <> all (xip(late)) or position is in seen)
//
// Without floor, restored rows with high numbers would be published again by later batches. Without late, a row with a
// low position that commits just after the opening would never be published. Without seen, a restored row whose number
// happens to be running would be published twice.
//
// # Parts
//
// A cut that takes longer than statement_timeout or the relay's patience is made in parts: batches of the same P and S,
// each with a range of positions (low, high], one behind the other, halved until one passes. Together they have the
// rows of one batch, each once, because the ranges do not overlap and leave no gap; in the same order, because that is
// the order by position. Ranges of transaction numbers would not do: who began first may write to a schedule last. A
// sink that has a part is not taken to have S (Batch.After): until the last part it has what P says. An opening may be
// cut like this, with a first part of no rows, because floor, late and seen are stored with the epoch and do not depend
// on how far its rows were read.
//
// # What a sink has
//
// A sink of events is asked; what it says is reported ([Report]). A sink of tasks is confirmed run by run by package
// relay. What every sink of a topic has can be dropped from the log ([HeldSnapshots]).
package ledger
