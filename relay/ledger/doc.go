// Package ledger keeps the relay's books: what each sink was given, up to where it is known to have it, and on which server
// the log had what numbers.
//
// A sink is given batches, each of them the rows of one topic between two snapshots. They are cut by a [Reader], in an epoch
// that [Open] began, and read the same for ever. What a sink has is reported to the ledger, so that what every sink has can
// be dropped from the log ([Had]).
package ledger
