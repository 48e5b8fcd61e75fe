package relay

import "github.com/tactus-dev/tactus/relay/ledger"

// verdict says what is to be done before anything is appended to a sink.
type verdict struct {
	do  deed
	why string // of refuse, beginEpoch and cutAgain, for the log
	to  Mark   // of moveSink
}

type deed int

const (
	refuse     deed = iota // nothing can be published
	beginEpoch             // begin an epoch: batch numbers have lost their meaning for the sink
	cutAgain               // cut a batch of the tasks that a sink may have lost together with its mark
	regain                 // hand over again the tasks that a sink has lost behind its mark
	moveSink               // move the sink into this epoch, or behind what it has lost
	resume                 // append behind the sink's mark
)

// reconcile compares the ledger's state of a sink (l) with the sink's own mark (m), and returns what to do. The caller
// does it, and calls reconcile again, until the verdict is resume:
//
//	   ┌── beginEpoch, cutAgain, regain, moveSink ──┐
//	   ▼                                            │
//	look ──▶ reconcile ─────────────────────────────┴──▶ resume: read and append, until an append is refused
//
// Invariant of resume: the ledger and the sink are in the same epoch, and the sink has exactly the entries up to its
// mark. So the next rows that are read are those that the sink lacks, and the next append names the sink's real mark.
// Without this invariant, a sink that was restored from an old copy would have a gap for good, and a database that was
// put back would give IDs that consumers have already seen to other events.
//
// The order of the cases matters: places can only be compared after it is known that transaction numbers can be.
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

// ahead reports whether a sink has more than the ledger's batches.
func ahead(l ledger.State, m Mark) bool { return m.Last.Compare(l.End()) > 0 }

// stray reports whether a sink is at a place that exists only since the ledger's epoch began, but is in another epoch.
func stray(l ledger.State, m Mark) bool {
	return m.Epoch != "" && m.Epoch != l.Epoch && m.Last.Compare(opening(l)) >= 0
}

// opening returns the place of the epoch's announcement, which is before the first row of the epoch.
func opening(l ledger.State) ID { return ID{Batch: l.Opened, Seq: 0} }

// reconcileEvents rewinds to the sink's mark: entries behind it are published, for the first time or again.
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

// reconcileTasks never rewinds, because a worker may have taken a task that the sink no longer has. A sink that has
// lost tasks continues behind the last confirmed task. The lost tasks are those behind its mark; if the mark is lost as
// well, every task that is young enough may be lost.
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
// the sink has taken since are only confirmed, the others are appended.
func readAfter(l ledger.State, m Mark, tasks bool) ID {
	switch {
	case !tasks:
		return m.Last
	case l.Again > 0 && m.Last.Compare(ID{Batch: l.Again, Seq: 0}) >= 0:
		return ID{Batch: l.Again, Seq: 0} // tasks before it were passed over
	}
	return l.Confirmed
}
