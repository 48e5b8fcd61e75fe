package processes

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// maxMemory is how much memory a relay or a beat may use, in KiB, however much waits for it.
const maxMemory = 100 << 10

// backlogSize is how many events wait: 100,000, or TACTUS_TEST_BACKLOG.
func backlogSize(t *testing.T) int {
	t.Helper()
	text := os.Getenv("TACTUS_TEST_BACKLOG")
	if text == "" {
		return 100_000
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("TACTUS_TEST_BACKLOG: %v", err)
	}
	return n
}

// changedOften writes a number of events of the existing schedules in one transaction, and updates the schedules' rows
// to match.
const changedOften = `
with so as (select s.*, row_number() over (order by id) - 1 as n, $1::int / count(*) over () as times from tactus.schedules s),
event as (
    insert into tactus.outbox (topic, aggregate_id, version, type, data, occurred_at)
    select 'schedule', id, version + v, 'schedule.updated', (tactus.schedule_data(s)::jsonb || jsonb_build_object('version', version + v))::json, updated_at
    from (select so.id as so_id, generate_series(1, times) as v from so) e join tactus.schedules s on s.id = so_id
    order by v
)
update tactus.schedules s set version = s.version + so.times from so where so.id = s.id`

// TestBacklog writes very many changes in one transaction, while the relay is down and the beat is stopped. All are one
// batch, and both catch up in memory that does not grow with the backlog.
func TestBacklog(t *testing.T) {
	t.Parallel()
	const schedules = 1000
	began, n := time.Now(), backlogSize(t)
	c := New(t, testenv.DirectURL(t), testenv.RedisURL(t))
	relay, beat := c.Start("relay"), c.Beat("one")
	for i := range schedules {
		c.Create(fmt.Sprintf(`{"name": "s%d", "cron_expression": "0 0 1 1 *", "task_name": "app.task"}`, i))
	}
	client := testenv.Client(t, c.Redis)
	published := func(want int64) {
		testenv.Eventually(t, fmt.Sprint(want, " entries in the stream"), func() error {
			return above(client.XLen(t.Context(), redis.EventStream).Val(), want-1)
		})
	}
	published(schedules)
	relay.Kill()
	beat.Pause()
	if _, err := c.Pool.Exec(t.Context(), changedOften, n); err != nil {
		t.Fatal(err)
	}
	relay = c.Start("relay")
	const step = 50_000
	for waits := n; waits >= 0; waits -= step {
		published(int64(schedules + n - waits))
	}
	beat.Resume()
	for left := n; left >= 0; left -= step {
		testenv.Eventually(t, fmt.Sprint("the beat has ", left, " to hear"), func() error {
			if lag := c.Metric(beat, "tactus_beat_feed_lag_events"); lag > float64(left) {
				return fmt.Errorf("%v events are left", lag)
			}
			return nil
		})
	}
	c.Fires(c.Create(`{"interval_seconds": 1, "task_name": "app.task"}`), 1)
	var largest int
	if err := c.Pool.QueryRow(t.Context(),
		`select max(row_count) from tactus.relay_batches`).Scan(&largest); err != nil || largest != n {
		t.Errorf("the largest batch has %d rows, %v", largest, err)
	}
	bounded(t, "relay", relay)
	bounded(t, "beat", beat)
	c.Verify(began, c.Settled(), 5*time.Second)
}

func bounded(t *testing.T, name string, p *testenv.Process) {
	t.Helper()
	took := p.Peak()
	t.Logf("%s took %d KiB", name, took)
	if took > maxMemory {
		t.Errorf("%s took %d KiB, however much waits it may take %d", name, took, maxMemory)
	}
}
