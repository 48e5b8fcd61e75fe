package beat

import (
	"fmt"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// TestWhatAChangeOvertakesIsRecorded changes a schedule after two due times have passed unsettled, because the only
// beat was suspended, dead or stopped. Both are recorded as missed, with the reason, and so are due times between two
// changes.
func TestWhatAChangeOvertakesIsRecorded(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"sleeps", "stop", "crash"} {
		for name, change := range changes {
			t.Run(name+" "+end, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				s := w.create(minutely(`, "misfire_policy": "all"`))
				b, a := w.beat("a"), at{s}
				w.step(b, a.due(2))
				if end != "sleeps" {
					w.endBeat(b, end)
				}
				w.setClock(a.due(4).Add(30 * time.Second))
				change(w, s.ID)
				w.setClock(a.due(4).Add(40 * time.Second))
				want := []string{a.run(1), a.run(2), overtook(a.due(3), a.due(4))}
				if name == "edit" { // which is due at :20 of each minute, until this
					w.setClock(a.due(6).Add(30 * time.Second))
					w.merge(s.ID, `{"cron_expression": "0 0 1 1 *"}`)
					want = append(want, overtook(a.due(5).Add(20*time.Second), a.due(6).Add(20*time.Second)))
				}
				if end != "sleeps" {
					b = w.beat("b")
				}
				w.step(b, a.due(6).Add(50*time.Second))
				if err := w.expect(s.ID, want...); err != nil {
					t.Error(err)
				}
				again := w.beat("c")
				w.endBeat(b, "crash")
				w.step(again, a.due(6).Add(70*time.Second))
				if err := w.expect(s.ID, want...); err != nil {
					t.Error("after a takeover: ", err)
				}
			})
		}
	}
}

func overtook(first, last time.Time) string {
	return fmt.Sprintf("%s missed to %s %s",
		first.UTC().Format(time.RFC3339Nano), last.UTC().Format(time.RFC3339Nano), domain.ReasonOvertaken)
}
