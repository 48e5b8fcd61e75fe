package beat

// seenLease is the newest state of the lease that this beat knows to be committed: it was in an answer.
type leaseVersion struct {
	term     int64
	written  string
	snapshot *string
}

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

// compare finds out from the lease whether an older copy of the database's files has been put back, on the same server and
// timeline. Numbers of transactions do not show it: others may have used up those that were lost. Somebody who was away
// while the lease passed to another cannot tell, and takes it that it has.
func (b *Beat) compareLease(row leaseRow) {
	passed := b.lease.newest != nil && row.Term > b.lease.newest.term && localNow().Sub(b.lease.asked) > leaseTime+renewEvery
	switch {
	case row.WentBack:
		b.wantAnew("the database has gone back")
	case passed:
		b.wantAnew("the lease passed to another meanwhile")
	}
	b.lease.newest = &leaseVersion{row.Term, row.Written, row.Snapshot}
}
