package beat

import (
	"fmt"
	"testing"
	"time"
)

// TestExtremeWatermark writes infinity as the watermark of the lease, of a shadow's lease, or of the switch. The
// watermark counts as now at most, so schedules go on, and none is completed.
func TestExtremeWatermark(t *testing.T) {
	t.Parallel()
	for _, lease := range []string{"beat", "shadow", "switch"} {
		for _, extreme := range []string{"infinity", "-infinity", "294276-12-31", "2100-01-01", "4713-01-01 BC"} {
			t.Run(lease+" "+extreme, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				s := at{w.create(minutely(``))}
				first := w.beat("a")
				w.step(first, s.due(1))
				w.stop(first)
				w.execute(fmt.Sprintf(`insert into tactus.leases as l (name, holder, epoch, expires_at, watermark)
					values ('%s', '', 1, '-infinity', '%s') on conflict (name) do update set watermark = excluded.watermark`,
					lease, extreme))
				w.setClock(s.due(2))
				second := w.beat("b")
				w.step(second, s.due(3).Add(time.Second))
				w.step(second, s.due(4).Add(time.Second))
				if last := w.runs(s.s.ID); len(last) == 0 || last[len(last)-1] != s.run(4) {
					t.Errorf("%q", last)
				}
				if n := w.count(`select count(*) from tactus.schedules where not enabled or completed_at is not null`); n > 0 {
					t.Errorf("%d schedules have ended", n)
				}
			})
		}
	}
}
