package processes

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// lockTable locks a table in another session until free is called.
func (c *Cluster) lockTable(table, mode string) (free func()) {
	c.Helper()
	tx, err := c.Pool.Begin(c.Context())
	if err != nil {
		c.Fatal(err)
	}
	if _, err := tx.Exec(c.Context(), `lock table `+table+` in `+mode+` mode`); err != nil {
		c.Fatal(err)
	}
	return func() {
		c.Helper()
		if err := tx.Rollback(c.Context()); err != nil {
			c.Fatal(err)
		}
	}
}

// otherTables returns the names of all tables that recovery.md does not discuss by themselves, in order to lock them at
// once.
func (c *Cluster) otherTables() (names string) {
	c.Helper()
	err := c.Pool.QueryRow(c.Context(), `select string_agg(relname, ', tactus.' order by relname) from pg_class
		where relnamespace = 'tactus'::regnamespace and relkind in ('r', 'p') and not relispartition and relname <> all ($1)`,
		[]string{
			"notification_rules", "notification_failing", "routes", "living_routes", "unjudged", "cancellations",
			"stream_claims", "stream_keys", "calendars", "schedule_counts", "deadletters", "unlisted", "refusals",
			"installation", "schedules", "runs", "outbox", "leases", "relay_batches", "relay_sinks",
		}).Scan(&names)
	if err != nil {
		c.Fatal(err)
	}
	return names
}

// TestLockedTablesBesideTheWay locks tables that firing and handing over do not need: one after the other, each until
// more tasks were handed over to a queue and to a stream, and then all others at once. Nothing is missed.
func TestLockedTablesBesideTheWay(t *testing.T) {
	t.Parallel()
	address := testenv.RedisURL(t)
	c := New(t, testenv.DatabaseURL(t), address)
	client, err := redis.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	c.Create(`{"name": "queued", "interval_seconds": 1, "task_name": "app.task", "queue": "ours", "misfire_policy": "all"}`)
	c.Create(`{"name": "streamed", "interval_seconds": 1, "task_name": "app.task", "stream": "theirs", "misfire_policy": "all"}`)
	c.Execute(`update tactus.schedules set updated_at = updated_at - interval '1 hour'`) // what was written just now is not judged
	c.Start("relay")
	beat := c.Beat("one")
	more := func(what string, n int64) {
		t.Helper()
		var queue, stream int64 = -1, -1
		testenv.Eventually(t, what, func() error {
			q, s := client.LLen(t.Context(), "ours").Val(), client.XLen(t.Context(), "theirs").Val()
			if queue < 0 {
				queue, stream = q, s
			}
			if q < queue+n || s < stream+n {
				return fmt.Errorf("%d tasks more in the queue, %d in the stream", q-queue, s-stream)
			}
			return nil
		})
	}
	more("tasks are handed over", 2)
	for _, table := range []string{
		"notification_rules", "notification_failing", "routes", "unjudged", "cancellations", "stream_claims", "stream_keys",
		"living_routes", "calendars", "backfills", "deadletters", "unlisted", "schedule_counts", c.otherTables(),
	} {
		free := c.lockTable("tactus."+table, "access exclusive")
		more("tasks are handed over while "+table+" is locked", 4)
		free()
	}
	free := c.lockTable("tactus.routes", "access exclusive")
	testenv.Eventually(t, "the beat says who has locked what", func() error {
		status, ready := Ask(t, http.MethodGet, beat.URL()+"/readyz", "")
		if status != http.StatusOK || !strings.Contains(ready, "has locked the table tactus.routes (AccessExclusiveLock)") ||
			c.Metric(beat, "tactus_locked_tables") != 1 {
			return fmt.Errorf("%d %s", status, ready)
		}
		return nil
	})
	beat.AwaitLog(`pid \d+ \(role [^)]*\) has locked the table tactus.routes`)
	free()
	if missed := c.Metric(beat, "tactus_beat_missed_ranges_total"); missed > 0 {
		t.Errorf("%v ranges were missed", missed)
	}
}
