package processes

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestRestoredToAPointInTime restores a base backup and the archive up to a point, as docs/recovery.md says, while
// Redis keeps what came after it. Relay and beat go on, what differs is healed, and verify names what was lost.
func TestRestoredToAPointInTime(t *testing.T) {
	t.Parallel()
	server, url, backup := testenv.Archived(t)
	proxy, through := testenv.Through(t, url)
	c := New(t, through, testenv.RedisURL(t))
	relay, beat := c.Start("relay"), c.Beat("one")
	steady := c.Create(`{"name": "steady", "interval_seconds": 1, "task_name": "t", "queue": "steady", "misfire_policy": "all"}`)
	c.Fires(steady, 2)
	restore := backup()
	kept := c.Create(`{"name": "kept", "interval_seconds": 1, "task_name": "t"}`) // in the archive, not in the backup
	c.Fires(kept, 2)
	testenv.Execute(t, url, `select pg_create_restore_point('before')`)
	lost := c.Create(`{"name": "lost", "interval_seconds": 1, "task_name": "t"}`)
	c.Fires(lost, 2)
	archived(t, c)
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	proxy.Retarget(t, restore("before").URL("tactus"))
	c.Pool.Reset()

	beat.AwaitLog("resynced.*anew=true")
	relay.AwaitLog("epoch started.*sink=events")
	began := time.Now()
	c.Fires(kept, c.Runs(kept)+2)
	c.Fires(steady, c.Runs(steady)+2)
	if n := c.Metric(beat, "tactus_beat_schedules"); n != 2 {
		t.Errorf("the beat knows %v schedules, 2 are there", n)
	}
	c.Verify(began, c.Settled(), 15*time.Second, "--known-restores")
	got := testenv.Run(t, "verify", "--database-url", c.URL, "--redis-url", c.Redis, "--wait", "1m", "-o", "json")
	if got.Code != exitFailure || !strings.Contains(got.Out, `"kind": "log_went_back"`) {
		t.Errorf("of what was lost verify says %d: %s", got.Code, got.Out)
	}
	c.oneTaskEach("steady")
}

// archived waits until what was written so far is in the archive.
func archived(t *testing.T, c *Cluster) {
	t.Helper()
	var name string
	if err := c.Pool.QueryRow(t.Context(), `select pg_walfile_name(pg_switch_wal())`).Scan(&name); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "the log is archived", func() error {
		var there bool
		err := c.Pool.QueryRow(t.Context(), `select coalesce(last_archived_wal >= $1, false) from pg_stat_archiver`, name).Scan(&there)
		if err == nil && !there {
			err = errors.New("it is not")
		}
		return err
	})
}
