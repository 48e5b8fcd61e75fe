package beat

import (
	"fmt"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/relay/cloudevents"
)

// goneBack are the ways in which a beat notices that PostgreSQL may have gone back.
var goneBack = map[string]func(w *world, b *Beat){
	"another life of the database":  func(_ *world, b *Beat) { b.polls.server = "another" },
	"the lease is an older one":     olderLease,
	"snapshots of another database": func(_ *world, b *Beat) { b.polls.from, b.polls.at = "900000000:900000000:", 0 },
	"the stream ends before":        func(_ *world, b *Beat) { b.receive(notice{lost: "the stream ends before what was heard"}) },
	"a new epoch": func(w *world, b *Beat) {
		m, err := cloudevents.EpochStarted("f", time.Now())
		if err != nil {
			w.Fatal(err)
		}
		b.receive(parseEvent(m))
	},
	"an event of another epoch": func(w *world, b *Beat) {
		b.receive(parseEvent(w.told(domain.ID{1}, 1, "e")))
		b.receive(parseEvent(w.told(domain.ID{1}, 1, "f")))
	},
}

// olderLease makes the beat remember a lease from a later transaction, whose number was used again since.
func olderLease(w *world, b *Beat) {
	w.Helper()
	written := w.count(`select xmin::text::bigint from tactus.leases where name = 'beat'`)
	b.lease.newest.written = fmt.Sprint(written + 10)
	for w.count(`select pg_current_xact_id()::xid::text::bigint`) < written+20 {
	}
}

// TestPutBackBehindAStandby puts the lease back to an earlier holder, which a standby notices first. Neither holder
// continues in a term that the other has had, and the watermark and snapshot in the row stay until memory was rebuilt.
func TestPutBackBehindAStandby(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create(minutely(``))
	a, b := w.beat("a"), w.beat("b")
	w.step(a, w.now.Add(4*time.Second))
	w.step(b, w.now)
	w.execute(`update tactus.leases set epoch = epoch - 1, holder = 'before', expires_at = '-infinity', snapshot = '7:7:' where name = 'beat'`)
	row, err := b.queryLease(t.Context(), renewLeaseSQL, b.leaseArgs(w.now.UnixMicro()))
	if err != nil {
		t.Fatal(err)
	}
	if !row.WentBack || row.Term != 2 || *row.Snapshot != "7:7:" {
		t.Errorf("back %v, epoch %d, snapshot %s", row.WentBack, row.Term, *row.Snapshot)
	}
	w.step(a, w.now.Add(4*time.Second))
	if a.lease.leading {
		t.Error("the one before leads")
	}
}

// TestAnotherLife puts PostgreSQL back to before two edits and a run of each of three schedules. One of them is then
// edited differently, so that its version equals the one in memory, and its content does not. Due times that ran do not
// run again.
func TestAnotherLife(t *testing.T) {
	t.Parallel()
	for name, tell := range goneBack {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			kept, undone, edited := w.create(minutely(``)), w.create(minutely(``)), w.create(minutely(``))
			b, a := w.beat("a"), at{kept}
			w.step(b, a.due(1))
			w.step(b, a.due(2))
			w.setClock(a.due(2).Add(5 * time.Second))
			for _, s := range []domain.Schedule{undone, edited} {
				if got := w.merge(s.ID, `{"interval_seconds": 3600}`); got.Version != 2 {
					t.Fatalf("version %d", got.Version)
				}
			}
			w.step(b, a.due(2).Add(6*time.Second))

			w.execute(`delete from tactus.runs where due_at = $1`, a.due(2))
			w.execute(`update tactus.schedules set version = 1, trigger = '{"every":60}', effective_from = $2 where id = $1`, undone.ID, undone.EffectiveFrom)
			w.execute(`update tactus.schedules set trigger = '{"every":60}', anchor = $2, effective_from = $3 where id = $1`,
				edited.ID, a.due(1).Add(20*time.Second), a.due(2).Add(7*time.Second))
			b.polls.at = memory.Never
			tell(w, b)
			for _, at := range []time.Duration{10 * time.Second, 20 * time.Second, time.Minute} {
				w.step(b, a.due(2).Add(at))
			}
			once := a.due(2).Add(20*time.Second).UTC().Format(time.RFC3339Nano) + " due"
			for s, want := range map[domain.ID][]string{
				kept.ID: {a.run(1), a.run(3)}, undone.ID: {a.run(1), a.run(3)}, edited.ID: {a.run(1), once},
			} {
				if err := w.expect(s, want...); err != nil {
					t.Error(err)
				}
			}
			if b.resync.foreign() {
				t.Error("memory is still taken for that of another life")
			}
		})
	}
}
