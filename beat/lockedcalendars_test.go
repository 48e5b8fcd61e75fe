package beat

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestLockedCalendars locks the whole table of the calendars. Schedules without calendars fire in time, also those that
// are created or changed meanwhile, in a running beat and in one that starts then. Schedules with calendars fire when
// the table is free.
func TestLockedCalendars(t *testing.T) {
	t.Parallel()
	for _, begins := range []bool{false, true} {
		t.Run(map[bool]string{false: "runs", true: "begins"}[begins], func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.calendar("closed")
			s, limited := w.create(minutely("")), w.create(minutely(`, "max_runs": 100`))
			bound := w.create(minutely(`, "exclude_calendars": ["closed"], "misfire_policy": "all"`))
			w.calendar("closed", window(bound, 2, 4))
			stopped := w.create(minutely(""))
			b, log := w.bounded()
			a := at{s}
			w.step(b, a.due(1).Add(time.Second))
			now := a.due(1)
			if begins {
				now = now.Add(leaseTime + 2*time.Second)
			}
			free := w.lock("tactus.calendars")
			if begins {
				w.setClock(now)
				b, log = w.bounded()
			}
			made := w.create(minutely(""))
			w.merge(stopped.ID, `{"enabled": false}`)
			var pages []string
			for n := 2; n <= 4; n++ {
				for late := time.Second; late <= 3*time.Second; late += time.Second { // the first part that needs the table fails
					w.setClock(a.due(n).Add(late))
					if _, err := b.step(t.Context(), w.now.UnixMicro()); err != nil {
						pages = append(pages, err.Error())
					}
				}
			}
			if len(pages) > 1 {
				t.Errorf("%d steps failed: %v", len(pages), pages)
			}
			for _, one := range []domain.Schedule{s, limited} {
				if err := w.expect(one.ID, at{one}.run(1), at{one}.run(2), at{one}.run(3), at{one}.run(4)); err != nil {
					t.Error(err)
				}
			}
			if n := len(w.runs(made.ID)); n < 2 {
				t.Errorf("what was made meanwhile has %d runs", n)
			}
			if n := len(w.runs(stopped.ID)); n > 1 {
				t.Errorf("what was disabled meanwhile has %d runs", n)
			}
			if n := len(w.runs(bound.ID)); n > 1 {
				t.Errorf("what uses a calendar has %d runs", n)
			}
			if !strings.Contains(log.String(), "has locked the table tactus.calendars") {
				t.Errorf("it is not told:\n%s", log)
			}
			free()
			u, later := at{bound}, a.due(4).Add(4*time.Second)
			want := []string{
				u.run(1), excluded(bound, 2, 3, ": maintenance"), u.run(4),
			}
			testenv.Eventually(t, "what uses a calendar has its runs", func() error {
				w.setClock(later)
				if _, err := b.step(t.Context(), later.UnixMicro()); err != nil {
					return err
				}
				later = later.Add(time.Second)
				if got := w.runs(bound.ID); len(got) < len(want) || !slices.Equal(got[:len(want)], want) { // more come
					return fmt.Errorf("%v", got)
				}
				return nil
			})
		})
	}
}
