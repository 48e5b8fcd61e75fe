package beat

import (
	"fmt"
	"testing"
	"time"
)

// TestExtremeTimes writes times into the row of a schedule that no constraint refuses, but that Go and JSON cannot
// express. A beat that loads all schedules late, and one that hears of the change, fire all other schedules, and not
// this one. When the row is corrected, it fires again.
func TestExtremeTimes(t *testing.T) {
	t.Parallel()
	for _, column := range []string{"effective_from", "anchor", "trigger_set_at", "created_at", "updated_at"} {
		for _, extreme := range []string{"infinity", "-infinity", "294276-12-31", "10000-01-01", "4713-01-01 BC"} {
			t.Run(column+" "+extreme, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				sound, bad := at{w.create(minutely(``))}, at{w.create(minutely(``))}
				running := w.beat("a")
				w.step(running, sound.due(1))
				w.execute(fmt.Sprintf(`update tactus.schedules set %s = '%s', version = version + 1 where id = '%s'`,
					column, extreme, bad.s.ID))
				w.step(running, sound.due(2).Add(2*time.Second))
				if err := w.expect(sound.s.ID, sound.run(1), sound.run(2)); err != nil {
					t.Errorf("by the beat that was running: %v", err)
				}
				w.stop(running)
				w.setClock(sound.due(5))
				restarted := w.beat("b")
				w.step(restarted, sound.due(5).Add(time.Second))
				if w.count(`select count(*) from tactus.schedules where id = $1 and completed_at is not null`, bad.s.ID) > 0 {
					t.Error("it counts as completed")
				}
				last := w.runs(sound.s.ID)
				if len(last) == 0 || last[len(last)-1] != sound.run(5) {
					t.Errorf("by a beat that is late: %q", last)
				}
				w.execute(fmt.Sprintf(`
					update tactus.schedules s set (effective_from, anchor, trigger_set_at, created_at, updated_at) = (
						select effective_from, anchor, trigger_set_at, created_at, updated_at from tactus.schedules where id = '%s'
					),
					version = version + 1, enabled = true, invalid_reason = null where id = '%s'`, sound.s.ID, bad.s.ID))
				w.stop(restarted)
				w.setClock(sound.due(6))
				w.step(w.beat("c"), sound.due(6).Add(time.Second))
				if last := w.runs(bad.s.ID); len(last) == 0 || last[len(last)-1] != bad.run(6) {
					t.Errorf("after the row was put right: %q", last)
				}
			})
		}
	}
}
