package ledger

// AnyNewSQL returns what a relay asks before each cut.
func AnyNewSQL(r *Reader) string { return r.ofTopic(anyNewSQL) }
