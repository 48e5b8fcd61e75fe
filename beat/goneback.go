package beat

// leaseVersion is a state of the row of the lease that is known to be committed, since PostgreSQL has returned it.
type leaseVersion struct {
	term     int64
	written  string  // the transaction that wrote the row
	snapshot *string // of the log
}

// args returns the arguments that wentBackSQL compares the row with. They are null before the first answer.
func (s *leaseVersion) args() named {
	if s == nil {
		return named{"seen_epoch": nil, "seen_written": nil, "seen_snapshot": nil}
	}
	return named{"seen_epoch": s.term, "seen_written": s.written, "seen_snapshot": s.snapshot}
}

func (b *Beat) readArgs() named {
	args := b.lease.newest.args()
	args["name"] = b.mode.leaseName
	return args
}

// compareLease finds out from the row of the lease whether an older copy of the data directory was put back on the same
// server and timeline (wentBackSQL). If so, versions and snapshots in memory cannot be compared with those in the
// database, and memory is rebuilt. Memory is also rebuilt if this beat was away for longer than the lease lasts and
// finds a higher term: the database may have gone back meanwhile and a new leader may have raised the term since, which
// wentBackSQL cannot tell from an ordinary takeover.
func (b *Beat) compareLease(row leaseRow) {
	away := localNow().Sub(b.lease.asked) > leaseTime+renewEvery
	passed := b.lease.newest != nil && row.Term > b.lease.newest.term && away
	switch {
	case row.WentBack:
		b.wantAnew("the database has gone back")
	case passed:
		b.wantAnew("the lease passed to another meanwhile")
	}
	b.lease.newest = &leaseVersion{row.Term, row.Written, row.Snapshot}
}
