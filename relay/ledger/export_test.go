package ledger

// AnyNewSQL is what a relay asks before each cut.
const AnyNewSQL = anyNew
