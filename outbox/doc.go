// Package outbox is the log of tactus and its only write path.
//
// A change of a schedule and its event are written by one statement: they commit together or not at all (P1), in the
// caller's transaction ([Put], [Create], [Update], [Enable], [Disable], [Delete]) or in one of its own ([Store]). The
// event is appended after the schedule's row lock is held, so one schedule's positions rise with its versions, and
// versions rise by one. [WithActor] says in the events who makes them.
//
// Calendars and routes are written the same way: [PutCalendar] and [DeleteCalendar], [PutRoute] and [DeleteRoute] in
// the caller's transaction, their namesakes of [Store] in one of its own. [GetCalendar], [Get], [GetByName] and
// [Routes] read what is there; [SetsOf] compiles the calendars of definitions, for the due times of a domain.Schedule,
// and [Project] derives the columns of a row from its definition. [InTx] rings after the commit; where the transaction
// is not begun by it, [Ring] does.
//
// A reader knows what it has read by a [Snapshot], not by a position: positions are drawn before they commit, and what
// commits late has a lower one. The rows that are visible in a newer snapshot and were not in the older are exactly the
// new ones; no transaction, however long, holds up the others. (Package relay/ledger reads the log so.)
//
// [Maintain] keeps partitions ready for what will be written and drops runs that are kept no longer; [DropRunEvents]
// drops run events that every sink has. Nobody waits for either longer than a tenth of a second (TestDropUnderLoad),
// and a row that commits late keeps its partition.
//
// A listener is woken by a bell ([Listen]); the bell may be lost, so whoever waits for it polls as well.
package outbox
