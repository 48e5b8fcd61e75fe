package beat

import (
	"testing"
	"time"
)

// TestPollAloneRecognizes has neither a feed nor a resync. A change is in memory after the next poll, even if its
// transaction began before others that were read already.
func TestPollAloneRecognizes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.beat("a")
	resyncs := b.resync.done
	tx, err := w.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	late := w.createIn(tx, minutely(``))
	early := w.create(minutely(``))
	w.step(b, w.now.Add(DefaultPoll))
	if _, ok := b.memory.Find(early.ID); !ok {
		t.Error("not in memory after a poll")
	}
	for range 8 { // the lease is renewed meanwhile, with a snapshot that does not show the transaction
		w.step(b, w.now.Add(DefaultPoll))
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.step(b, w.now.Add(DefaultPoll))
	if _, ok := b.memory.Find(late.ID); !ok {
		t.Error("what was committed late is not in memory after a poll")
	}
	if err := w.store.Delete(t.Context(), early.ID, 0); err != nil {
		t.Fatal(err)
	}
	w.step(b, w.now.Add(DefaultPoll))
	if _, ok := b.memory.Find(early.ID); ok || b.resync.done != resyncs {
		t.Errorf("deleted, but in memory: %v; %d resyncs", ok, b.resync.done-resyncs)
	}
}

// TestRepeatsAreNotReadAgain checks that the snapshot of polls moves only with the lease, and that changes which polls
// find again are not read again.
func TestRepeatsAreNotReadAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.beat("a")
	w.create(minutely(``))
	w.step(b, w.now.Add(DefaultPoll))
	syncs, base := b.syncs.queries, b.polls.from
	w.step(b, w.now.Add(DefaultPoll))
	if b.syncs.queries != syncs {
		t.Error("what memory has was read again")
	}
	if b.polls.from != base {
		t.Error("the base moved without a committed row that carries it")
	}
	w.step(b, w.now.Add(renewEvery))
	w.step(b, w.now.Add(DefaultPoll))
	if b.polls.from == base {
		t.Error("the base does not move")
	}
}

// TestRestoredDatabase puts the database back: schedules are older, and transaction numbers are too low for the
// snapshots.
func TestRestoredDatabase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.create(minutely(``))
	b := w.beat("a")
	edited := w.merge(s.ID, `{"interval_seconds": 3600}`)
	w.step(b, w.now.Add(DefaultMinResync))
	if r, _ := b.memory.Find(s.ID); int64(r.Version) != edited.Version {
		t.Fatalf("version %d in memory", r.Version)
	}
	_, err := w.pool.Exec(t.Context(), `update tactus.schedules set version = 1, trigger = '{"every":60}', effective_from = $2 where id = $1`, s.ID, s.EffectiveFrom)
	if err != nil {
		t.Fatal(err)
	}
	b.polls.from = "900000000:900000000:"
	w.step(b, w.now.Add(DefaultMinResync))
	if r, _ := b.memory.Find(s.ID); r.Version != 1 {
		t.Errorf("version %d in memory, 1 in the database", r.Version)
	}
	if b.resync.foreign() {
		t.Error("memory is still taken for that of another database")
	}
	if b.polls.from == "900000000:900000000:" {
		t.Error("polls still count from a snapshot of another database")
	}
	late := w.create(minutely(``))
	w.step(b, w.now.Add(DefaultPoll))
	if _, ok := b.memory.Find(late.ID); !ok {
		t.Error("polls find nothing any more")
	}
}

// TestMovedTrigger needs only the poll: due times of a trigger that was replaced do not fire.
func TestMovedTrigger(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.create(minutely(``))
	b, a := w.beat("a"), at{s}
	w.step(b, a.due(1))
	moved := at{w.merge(s.ID, `{"interval_anchor": "2026-01-01T00:00:10Z"}`)}
	w.step(b, a.due(1).Add(2*time.Second))
	w.step(b, a.due(2))
	if err := w.expect(s.ID, a.run(1), moved.run(1)); err != nil {
		t.Error(err)
	}
}

// TestPollBringsAnOlderVersion has a change in the log whose version is older than the one in memory: the database has
// gone back.
func TestPollBringsAnOlderVersion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.create(minutely(``))
	b := w.beat("a")
	if b.resync.wantedAnew {
		t.Fatal("memory is to be made anew at the start")
	}
	w.merge(s.ID, `{"description": "two"}`)
	w.merge(s.ID, `{"description": "three"}`)
	w.step(b, w.now.Add(2*time.Second))
	if b.resync.wanted || b.resync.done != 1 {
		t.Fatalf("%d resyncs, another wanted: %v", b.resync.done, b.resync.wanted)
	}
	kept, _ := b.memory.Find(s.ID)
	kept.Version = 7 // in a life that was lost
	w.merge(s.ID, `{"description": "four"}`)
	w.step(b, w.now.Add(8*time.Second))
	if kept, _ := b.memory.Find(s.ID); kept.Version != 4 {
		t.Errorf("version %d", kept.Version)
	}
}
