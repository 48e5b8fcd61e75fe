package beat

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tactus-dev/tactus/domain"
)

// changes are changes of a schedule by a user before a due time, each with its effect on the due time.
var changes = map[string]func(w *world, id domain.ID){
	"disable": func(w *world, id domain.ID) {
		if _, err := w.store.SetEnabled(w.Context(), id, 0, false); err != nil {
			w.Fatal(err)
		}
	},
	"delete": func(w *world, id domain.ID) {
		if err := w.store.Delete(w.Context(), id, 0); err != nil {
			w.Fatal(err)
		}
	},
	"edit": func(w *world, id domain.ID) { w.merge(id, `{"interval_anchor": "2026-01-01T00:00:20Z"}`) },
}

// TestRestartBringsNothingBack changes a schedule, and ends the beat before or after it has heard of the change, by a
// clean stop or a crash.
func TestRestartBringsNothingBack(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"stop", "crash"} {
		for _, heard := range []bool{true, false} {
			for name, change := range changes {
				t.Run(fmt.Sprintf("%s %s heard %t", name, end, heard), func(t *testing.T) {
					t.Parallel()
					w := newWorld(t)
					s := w.create(minutely(`, "misfire_policy": "all"`))
					b, a := w.beat("a"), at{s}
					w.step(b, a.due(2))
					w.setClock(a.due(2).Add(45 * time.Second))
					change(w, s.ID)
					if heard {
						w.step(b, a.due(2).Add(50*time.Second))
					}
					w.endBeat(b, end)
					again := w.beat("b")
					w.step(again, a.due(5).Add(30*time.Second))
					want := []string{a.run(1), a.run(2)}
					for n := range 3 {
						if name == "edit" {
							want = append(want, a.due(n+3).Add(20*time.Second).UTC().Format(time.RFC3339Nano)+" due")
						}
					}
					if diff := cmp.Diff(want, w.runs(s.ID)); diff != "" {
						t.Errorf("(-want +got):\n%s", diff)
					}
				})
			}
		}
	}
}

// TestEnableDoesNotCatchUp enables a schedule after some due times have passed, and restarts the beat at once.
func TestEnableDoesNotCatchUp(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"", "stop", "crash"} {
		t.Run("then "+end, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			s := w.create(minutely(`, "misfire_policy": "all"`))
			b, a := w.beat("a"), at{s}
			w.step(b, a.due(1))
			w.setClock(a.due(1).Add(time.Second))
			changes["disable"](w, s.ID)
			w.step(b, a.due(4).Add(time.Second))
			w.setClock(a.due(4).Add(2 * time.Second))
			if _, err := w.store.SetEnabled(t.Context(), s.ID, 0, true); err != nil {
				t.Fatal(err)
			}
			if end != "" {
				w.endBeat(b, end)
				b = w.beat("b")
			}
			w.step(b, a.due(4).Add(20*time.Second))
			w.step(b, a.due(5))
			if diff := cmp.Diff([]string{a.run(1), a.run(5)}, w.runs(s.ID)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestLateCommitIsNotLost keeps the transaction that creates a schedule open past its first due times. They fire late,
// but are not lost.
func TestLateCommitIsNotLost(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"", "stop", "crash"} {
		t.Run("then "+end, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			b := w.beat("a")
			tx, err := w.pool.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			s := w.createIn(tx, minutely(`, "misfire_policy": "all"`))
			a := at{s}
			w.step(b, a.due(3).Add(10*time.Second))
			w.step(b, a.due(3).Add(20*time.Second))
			if err := tx.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			if end != "" {
				w.endBeat(b, end)
				b = w.beat("b")
			}
			w.step(b, a.due(3).Add(30*time.Second))
			if diff := cmp.Diff([]string{a.run(1), a.run(2), a.run(3)}, w.runs(s.ID)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
