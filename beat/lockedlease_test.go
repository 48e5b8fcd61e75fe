package beat

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestLockedLease locks the row of the lease for minutes, for longer than a lease lasts. If firing can share the lock,
// the leader goes on; otherwise it waits. Either way both beats log this once, no schedule is taken for locked, no beat
// takes the lease, and seconds after the lock is gone everything has fired, once.
func TestLockedLease(t *testing.T) {
	t.Parallel()
	for _, lock := range []string{"for update", "for share"} {
		t.Run(lock, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			s := w.create(minutely(`, "misfire_policy": "all"`))
			for range 20 {
				w.create(minutely(``))
			}
			leader, told := w.listenTo("a")
			standby, toldStandby := w.listenTo("b")
			a := at{s}
			w.step(leader, a.due(1).Add(time.Second))
			tx, err := w.pool.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = tx.Rollback(t.Context()) }()
			if _, err := tx.Exec(t.Context(), `select from tactus.leases where name = 'beat' `+lock); err != nil {
				t.Fatal(err)
			}
			for n := 2; n <= 3; n++ {
				w.step(leader, a.due(n).Add(time.Second))
				w.step(standby, a.due(n).Add(time.Second))
			}
			want := []string{a.run(1)}
			if lock == "for share" {
				want = append(want, a.run(2), a.run(3))
			}
			if err := w.expect(s.ID, want...); err != nil {
				t.Error("while it is locked: ", err)
			}
			if len(leader.locks.pauses) > 0 {
				t.Errorf("%d schedules are taken for locked", len(leader.locks.pauses))
			}
			for _, log := range []*bytes.Buffer{told, toldStandby} {
				again := strings.Count(log.String(), " since=") // lines about the same lock again
				if n := strings.Count(log.String(), "the lease cannot be renewed") - again; n != 1 {
					t.Errorf("told %d times:\n%s", n, log)
				}
			}
			if err := tx.Rollback(t.Context()); err != nil {
				t.Fatal(err)
			}
			for n := range 5 {
				w.step(leader, a.due(3).Add(time.Duration(n+2)*time.Second))
				w.step(standby, a.due(3).Add(time.Duration(n+2)*time.Second))
			}
			if err := w.expect(s.ID, a.run(1), a.run(2), a.run(3)); err != nil {
				t.Error(err)
			}
			if leader.lease.leading == standby.lease.leading {
				t.Errorf("leading: %t and %t", leader.lease.leading, standby.lease.leading)
			}
			if !strings.Contains(told.String(), "goes on") {
				t.Error("that it is over is not told")
			}
		})
	}
}

// listenTo makes a beat, and returns the beat and its log.
func (w *world) listenTo(name string) (*Beat, *bytes.Buffer) {
	w.Helper()
	var log bytes.Buffer
	b, err := New(w.pool, nil, Config{Name: name, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		w.Fatal(err)
	}
	if err := b.start(w.Context()); err != nil {
		w.Fatal(err)
	}
	w.step(b, w.now)
	return b, &log
}

// TestLockedLeaseIsLeft ends a beat while the row of the lease is locked: the beat does not wait for the lock.
func TestLockedLeaseIsLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b, told := w.listenTo("a")
	tx, err := w.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	if _, err := tx.Exec(t.Context(), `select from tactus.leases where name = 'beat' for update`); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), testenv.Patience)
	defer cancel()
	if err := b.release(ctx, w.now.UnixMicro()); err != nil {
		t.Fatal("it waits: ", err)
	}
	if !strings.Contains(told.String(), "cannot be given up") {
		t.Errorf("it is not told:\n%s", told)
	}
}
