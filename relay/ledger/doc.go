// Package ledger keeps the relay's books: which batches were cut for each sink, how much of them the sink is known to
// have, and on which server and timeline each epoch began.
//
// # The cursor is a snapshot
//
// The cursor of a sink is a snapshot (PostgreSQL's pg_snapshot), not a position. A pg_snapshot xmin:xmax:xip says for
// every transaction number whether the transaction's rows were visible: not if the number is xmax or greater (the
// transaction had not begun), not if xip lists the number (the transaction was running), otherwise yes. Let P be the
// cursor and S the current snapshot. The new rows are
//
//	(xid >= xmax(P) or xid = any (xip(P))) and pg_visible_in_snapshot(xid, S)
//
// Invariant: each committed row is in exactly one batch. A transaction becomes visible once and stays visible.
// Snapshots of one server are ordered, so there is exactly one pair (P, S) of successive cursors such that the row is
// invisible in P and visible in S, and the batch between these two has the row. It does not matter how long the
// transaction took, nor what committed meanwhile.
//
// A position cannot be the cursor. Suppose that transaction A draws position 1, then B draws position 2 and commits, a
// reader reads row 2 and continues after position 2, and then A commits. Row 1 is never read. Reading only up to the
// oldest running transaction (pg_snapshot_xmin) loses nothing, but any long transaction of the whole cluster stops the
// log.
//
// Rows of one batch are ordered by position. A transaction draws the position of an event while it holds the lock on
// the schedule's row. So the events of one schedule are in order within a batch. They are in order across batches as
// well, because the later transaction can only write after the earlier one has committed.
//
// # Batches
//
// A batch is (P, S, number of rows). It is committed by a transaction of its own, and flushed to disk, before any of
// its rows is published. Since P and S are stored, reading the batch always returns the same rows, and a row has the
// same ID (batch-row) each time it is published. Batch k+1 is inserted only if batch k exists with the snapshot that
// the relay expects. Since (sink, number) is unique, only one of two relays inserts batch k+1, and the other one gets
// the inserted batch.
//
// # Epochs
//
// Transaction numbers can only be compared on one server and timeline. An epoch is a period in which they can: a life
// of the log on one server and timeline, as one sink sees it.
//
//	           the sink is new, or: another server or timeline, the newest
//	           batch has seen numbers still to come, the sink is ahead
//	no epoch ───────────────────────────▶ opening ──▶ next ──▶ next ──▶ ...
//	                                         ▲                   │
//	                                         └───────────────────┘  (the same reasons; tasks also: again)
//
// The opening is the first batch of an epoch. It has to contain every row that is committed when it is cut and that the
// sink may lack; the later batches together have to contain exactly the rows that are committed afterwards. Comparing
// with P alone fails here: in a restored database, a row may have the number of a transaction that is still to run on
// this server. Such a row would look new to every later batch until the number is used, or be hidden until then. So the
// opening stores three things, which one statement determines together with its snapshot S:
//
//   - floor: the highest visible position. A row above it was committed after the opening.
//   - late: a snapshot whose xip lists every transaction that S does not show and that drew its number before this
//     statement drew its own. A transaction that commits after the opening is either in late, or drew its number later
//     and therefore drew all its positions above floor.
//   - seen: the positions of rows that are visible although their xid is in late. They were written on another server,
//     by a transaction whose number a running transaction has on this server.
//
// A row was committed when the epoch began exactly if
//
//	position <= floor and (xid <> all (xip(late)) or position is in seen)
//
// Without floor, later batches would publish restored rows with high transaction numbers again. Without late, a row
// with a low position that commits just after the opening would never be published. Without seen, a restored row whose
// transaction number is that of a transaction running here would be published twice.
//
// # Parts
//
// If a cut takes longer than statement_timeout or the relay's patience, the batch is cut in parts: batches with the
// same P and S, each with the rows of a range of positions (low, high]. The ranges follow each other, and a range is
// halved until its cut is fast enough. The parts together have each row of the whole batch once, because the ranges
// neither overlap nor leave a gap, and have them in the same order, because both are ordered by position. Ranges of
// transaction numbers would not keep the order: a transaction that began first may be the last to write to a schedule.
// A sink that has only some of the parts does not have S (Batch.After): until it has the last part, its cursor is P. An
// opening may be cut in parts, too, beginning with a part without rows, because floor, late and seen are stored with
// the epoch and do not depend on how many of its rows were read.
//
// # What a sink has
//
// A sink of events says itself how far it has come, and the relay records its answer ([Report]). For a sink of tasks,
// package relay confirms run by run. Rows that every sink of a topic has may be dropped from the log ([HeldSnapshots]).
package ledger
