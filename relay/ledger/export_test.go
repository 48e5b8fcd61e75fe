package ledger

// AnyNewSQL is what a relay asks before each cut.
var AnyNewSQL = anyNewSQL
