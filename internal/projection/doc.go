// Package projection computes what the rows of tactus.schedules should be from the events, compares them with the
// table, and corrects the rows that differ.
//
//   - [Of] returns the row of a schedule. [Row.Differences] ignores other forms of the same value, such as those that
//     another release writes.
//   - [Rebuild] reads the newest event of each schedule (an event holds the whole schedule) and, side by side, the
//     table, in one snapshot. It writes nothing.
//   - With [Config.Swap] it writes the correct rows for those that differ into a second table, and then puts them into
//     the first by one statement. A row that a writer changes in the meantime keeps that change (TestSwapLosesNoWrite).
//     Events tell readers of the old rows to read again (TestBeatReadsAgain). The replaced rows are kept in
//     tactus.schedules_replaced. The second table is dropped at the end; that of a killed rebuild, by the next rebuild
//     (TestKilledRebuildLeavesNothing).
//
// The rebuild exchanges rows and not tables, because functions, grants and the plans of other sessions are bound to the
// table itself: none of them would follow to a table that is renamed into its place.
package projection
