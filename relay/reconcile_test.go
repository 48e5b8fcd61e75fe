package relay

import (
	"testing"

	"github.com/tactus-dev/tactus/relay/ledger"
)

// TestReconcile has a ledger in epoch e2, which began with batch 5 when the sink was at 3-2. The newest batch is 9,
// with 4 rows.
func TestReconcile(t *testing.T) {
	t.Parallel()
	life := ledger.State{
		Registered: true, Epoch: "e2", Same: true, Opened: 5, After: ID{Batch: 3, Seq: 2},
		Confirmed: ID{Batch: 8, Seq: 1}, Oldest: 1, Newest: ledger.Batch{Number: 9, Rows: 4},
	}
	with := func(change func(*ledger.State)) ledger.State {
		l := life
		change(&l)
		return l
	}
	mark := func(epoch string, batch, seq int64) Mark { return Mark{epoch, ID{Batch: batch, Seq: seq}} }
	for name, c := range map[string]struct {
		life          ledger.State
		mark          Mark
		events, tasks deed
	}{
		"in step":                  {life, mark("e2", 9, 4), resume, resume},
		"in the middle of a batch": {life, mark("e2", 8, 3), resume, resume},
		"behind what it had":       {life, mark("e2", 7, 1), resume, regain},
		"at the beginning":         {life, mark("e2", 5, 0), resume, regain},
		"not told of the epoch":    {life, mark("e1", 3, 2), moveSink, moveSink},
		"an old copy":              {life, mark("e1", 2, 9), beginEpoch, cutAgain},
		"emptied":                  {life, mark("", 0, 0), beginEpoch, cutAgain},
		"its epoch lost":           {life, mark("", 9, 4), moveSink, cutAgain},
		"ahead":                    {life, mark("e2", 9, 5), beginEpoch, beginEpoch},
		"in an unknown epoch":      {life, mark("x", 6, 1), beginEpoch, beginEpoch},
		"on a standby":             {with(func(l *ledger.State) { l.Standby = true }), mark("e2", 9, 4), refuse, refuse},
		"new":                      {ledger.State{}, mark("", 0, 0), beginEpoch, beginEpoch},
		"on another server":        {with(func(l *ledger.State) { l.Same = false }), mark("e2", 9, 4), beginEpoch, beginEpoch},
		"gone back":                {with(func(l *ledger.State) { l.WentBack = true }), mark("e2", 9, 4), beginEpoch, beginEpoch},
		"too old a copy":           {with(func(l *ledger.State) { l.Oldest = 8 }), mark("e2", 7, 1), beginEpoch, cutAgain},
		"old, and still kept":      {with(func(l *ledger.State) { l.Oldest = 8 }), mark("e2", 8, 1), resume, resume},
		"what it lost is cut":      {with(func(l *ledger.State) { l.Again = 9 }), mark("", 0, 0), beginEpoch, moveSink},
	} {
		if got := reconcile(c.life, c.mark, false).do; got != c.events {
			t.Errorf("%s: events %d, want %d", name, got, c.events)
		}
		if got := reconcile(c.life, c.mark, true).do; got != c.tasks {
			t.Errorf("%s: tasks %d, want %d", name, got, c.tasks)
		}
	}
	fresh := ledger.State{Registered: true, Epoch: "e1", Same: true, Opened: 1, Oldest: 1, Confirmed: ID{Batch: 1}, Newest: ledger.Batch{Number: 1, Rows: 3}}
	if got := reconcile(fresh, Mark{}, true); got.do != moveSink || got.to != mark("e1", 1, 0) {
		t.Errorf("a new sink of tasks: %+v", got)
	}
	if got := reconcile(fresh, Mark{}, false); got.do != moveSink || got.to != mark("e1", 0, 0) {
		t.Errorf("a new sink of events: %+v", got)
	}
}

func TestReadAfter(t *testing.T) {
	t.Parallel()
	l := ledger.State{Epoch: "e", Confirmed: ID{Batch: 4, Seq: 2}}
	if got := readAfter(l, Mark{"e", ID{Batch: 5, Seq: 1}}, false); got != (ID{Batch: 5, Seq: 1}) {
		t.Errorf("events go on behind %s", got)
	}
	if got := readAfter(l, Mark{"e", ID{Batch: 5, Seq: 1}}, true); got != (ID{Batch: 4, Seq: 2}) {
		t.Errorf("tasks are confirmed behind %s", got)
	}
	l.Again = 6
	if got := readAfter(l, Mark{"e", ID{Batch: 6, Seq: 0}}, true); got != (ID{Batch: 6, Seq: 0}) {
		t.Errorf("what was passed over is confirmed: behind %s", got)
	}
}
