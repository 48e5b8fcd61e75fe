// Package sqlexpr holds the SQL expressions that statements of several packages share. Each has one meaning and is
// written once; a statement is put together of them where it is used.
//
// An expression takes its columns from the statement around it, so its comment says which alias or columns it expects:
//
//	s              the row of tactus.schedules, by this alias (TaskName, PolicyExpires, Unfinished, ...)
//	xid, position  the columns of tactus.outbox, unqualified (OccurredAt, BeforeEpoch, NotSeen, ...)
//
// An expression that takes its snapshot or column as an argument is a function.
package sqlexpr
