package beat

// leaseVersion is a state of the lease that is known to be committed, because an answer had it.
type leaseVersion struct {
	term     int64
	written  string  // the transaction that wrote the row
	snapshot *string // of the log
}

// args are what wentBackSQL compares the row with. Nothing was seen before the first answer.
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

// compareLease finds out from the lease whether an older copy of the data directory was put back, on the same server
// and timeline (wentBackSQL). Then versions and snapshots mean nothing, and memory is made anew. A beat that was away
// for longer than the lease lasts, while the lease passed to another, may have missed that the database went back and
// forth: the term is higher either way. It makes memory anew, too.
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
