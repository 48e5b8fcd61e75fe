package processes

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestBeatSaysThatSinksAreBehind has a sink that takes fewer tasks than are fired, and then takes them all.
func TestBeatSaysThatSinksAreBehind(t *testing.T) {
	t.Parallel()
	c := New(t, testenv.DatabaseURL(t), testenv.RedisURL(t))
	beat := c.Beat("one")
	c.Execute(`
		select tactus.put_schedule(format('{"name": "s%s", "interval_seconds": 1, "task_name": "app.task"}', n))
			from generate_series(1, 1200) n`)
	c.Execute(`
		insert into tactus.relay_sinks (sink, topic, epoch, timeline, system_identifier, confirmed_batch, confirmed_place)
			values ('celery', 'run', 'e', '1', '1', 1, 0);
		insert into tactus.relay_batches (sink, number, epoch, previous, snapshot, row_count, first_position, last_position)
			values ('celery', 1, 'e', '1:1:', '1:1:', 1000000, 1, 1000000);
		select setval('tactus.outbox_position', 100000)`)
	says := func() (runs float64, ready string, err error) {
		status, ready := Ask(t, http.MethodGet, beat.URL()+"/readyz", "")
		if status != http.StatusOK {
			err = fmt.Errorf("%d %s", status, ready)
		}
		return c.Metric(beat, "tactus_beat_handover_behind_runs"), ready, err
	}
	testenv.Eventually(t, "it says that a sink is behind", func() error {
		c.Execute(`update tactus.relay_sinks set confirmed_place = confirmed_place + 1`) // else the sink counts as away
		runs, ready, err := says()
		if err == nil && (runs < 50_000 || !strings.Contains(ready, `"behind":"more is due than is handed over: `)) {
			err = fmt.Errorf("%v runs, %s", runs, ready)
		}
		return err
	})
	beat.AwaitLog(`more is due than is handed over.*topic=run behind=\d+`)
	c.Execute(`update tactus.relay_sinks set confirmed_place = (select last_value from tactus.outbox_position)`)
	testenv.Eventually(t, "it no longer says so", func() error {
		runs, ready, err := says()
		if err == nil && (runs != 0 || strings.Contains(ready, "behind")) {
			err = fmt.Errorf("%v runs, %s", runs, ready)
		}
		return err
	})
	beat.AwaitLog(`sinks have caught up with what is due`)
}
