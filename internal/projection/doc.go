// Package projection knows what the rows of tactus.schedules must be: it makes them again from the events, compares, and
// puts right what differs.
//
//   - [Of] is the row that a schedule makes. [Row.Differences] does not mind other words for the same, such as those of
//     another release.
//   - [Rebuild] goes through the newest event of each schedule (an event carries all of it) and, beside it, through the table,
//     as of one snapshot. It writes nothing.
//   - With [Config.Swap] it writes the rows that differ into a table beside, and puts them in the place of what is there by
//     one statement. A row that a writer changes meanwhile keeps that change (TestSwapLosesNoWrite). Whoever read the old
//     rows hears of it by events (TestBeatReadsAgain). What was replaced is kept in tactus.schedules_replaced. The table beside
//     goes with the rebuild; that of a killed one, with the next (TestKilledRebuildLeavesNothing).
//
// Rows are exchanged, not tables: functions, grants and other sessions' plans name the table, and a table of another name
// would be none to them.
package projection
