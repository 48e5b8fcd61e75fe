package relay

import "github.com/tactus-dev/tactus/relay/ledger"

// verdict is what is to be done about a sink before anything is appended to it.
type verdict struct {
	do  deed
	why string // of refuse, beginEpoch and cutAgain, for the log
	to  Mark   // of moveSink
}

type deed int

const (
	refuse     deed = iota // nothing can be done here
	beginEpoch             // the numbers of batches have lost their meaning to the sink
	cutAgain               // cut a batch of what a sink of tasks may have lost with its mark
	regain                 // hand over again what a sink of tasks has lost behind its mark
	moveSink               // have the sink go on in this epoch, or behind what it lost
	resume                 // append behind its mark
)

// reconcile compares the ledger's state of a sink (l) with the mark that the sink itself has (m), and returns what to
// do. The caller does it and asks again, until the verdict is resume:
//
//	   ┌── beginEpoch, cutAgain, regain, moveSink ──┐
//	   ▼                                            │
//	look ──▶ reconcile ─────────────────────────────┴──▶ resume: read and append, until an append is refused
//
// The invariant of resume: the log and the sink are in the same epoch, and the sink has exactly the entries up to its
// mark. So what is read next is what the sink lacks, and the append names a mark that is really the sink's. Without it,
// a sink that was restored from an old copy would have a hole that nobody can fill, and a database that was put back
// would give the IDs of entries that consumers have to other events.
//
// The order of the cases matters: whether numbers of transactions mean anything comes before whatever compares places.
func reconcile(l ledger.State, m Mark, tasks bool) verdict {
	switch {
	case l.Standby:
		return verdict{do: refuse, why: "the database is a standby"}
	case !l.Registered:
		return verdict{do: beginEpoch, why: "the sink is new to this log"}
	case !l.Same:
		return verdict{do: beginEpoch, why: "the database is on another server or timeline"}
	case l.WentBack:
		return verdict{do: beginEpoch, why: "the database has gone back"}
	case ahead(l, m):
		return verdict{do: beginEpoch, why: "the sink is ahead of the log"}
	case stray(l, m):
		return verdict{do: beginEpoch, why: "the sink is in an epoch that the log does not know"}
	case tasks:
		return reconcileTasks(l, m)
	default:
		return reconcileEvents(l, m)
	}
}

// ahead reports whether a sink has more than the log knows to have given.
func ahead(l ledger.State, m Mark) bool { return m.Last.Compare(l.End()) > 0 }

// stray reports whether a sink is at a place that only this epoch can have brought it to, but is not in this epoch.
func stray(l ledger.State, m Mark) bool {
	return m.Epoch != "" && m.Epoch != l.Epoch && m.Last.Compare(opening(l)) >= 0
}

// opening returns the place before the first entry of the epoch; only its announcement stands there.
func opening(l ledger.State) ID { return ID{Batch: l.Opened, Seq: 0} }

// reconcileEvents rewinds to the sink's mark: what comes behind it is published, for the first time or again.
func reconcileEvents(l ledger.State, m Mark) verdict {
	switch {
	case m.Epoch != l.Epoch && m.Last.Compare(l.After) < 0:
		return verdict{do: beginEpoch, why: "the sink has lost something of an earlier epoch"}
	case m.Last.Batch < l.Oldest && l.Oldest > l.Opened:
		return verdict{do: beginEpoch, why: "the sink has lost more than the batches that are kept"}
	case m.Epoch != l.Epoch:
		return verdict{do: moveSink, to: Mark{l.Epoch, m.Last}}
	}
	return verdict{do: resume}
}

// reconcileTasks never rewinds, because a worker may have taken a task that the sink no longer has. A sink that lost
// tasks goes on behind the last confirmed one. What it lost came after its mark; without a mark, everything that is
// young enough may be lost.
func reconcileTasks(l ledger.State, m Mark) verdict {
	switch {
	case lost(l, m) && l.Again > 0:
		return verdict{do: moveSink, to: Mark{l.Epoch, ID{Batch: l.Again, Seq: 0}}}
	case lost(l, m) && m.Epoch == l.Epoch && m.Last.Batch >= max(l.Oldest, l.Opened):
		return verdict{do: regain}
	case lost(l, m):
		return verdict{do: cutAgain, why: "the sink has lost tasks"}
	case m.Epoch != l.Epoch:
		return verdict{do: moveSink, to: Mark{l.Epoch, opening(l)}}
	}
	return verdict{do: resume}
}

// lost reports whether a sink of tasks has less than it is known to have taken.
func lost(l ledger.State, m Mark) bool {
	switch m.Epoch {
	case l.Epoch:
		return m.Last.Compare(l.Confirmed) < 0
	case "":
		return l.After != ID{} || l.Confirmed != opening(l)
	default:
		return m.Last.Compare(l.After) < 0
	}
}

// readAfter returns the place behind which reading resumes. Tasks are read from the last confirmed one on: those that
// the sink has taken since are confirmed, the rest is appended.
func readAfter(l ledger.State, m Mark, tasks bool) ID {
	switch {
	case !tasks:
		return m.Last
	case l.Again > 0 && m.Last.Compare(ID{Batch: l.Again, Seq: 0}) >= 0:
		return ID{Batch: l.Again, Seq: 0} // what came before was passed over
	}
	return l.Confirmed
}
