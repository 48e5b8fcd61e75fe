package main

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
	c := newCluster(t, through, testenv.RedisURL(t))
	relay, beat := c.start("relay"), c.beat("one")
	steady := c.create(`{"name": "steady", "interval_seconds": 1, "task_name": "t", "queue": "steady", "misfire_policy": "all"}`)
	c.fires(steady, 2)
	restore := backup()
	kept := c.create(`{"name": "kept", "interval_seconds": 1, "task_name": "t"}`) // in the archive, not in the backup
	c.fires(kept, 2)
	testenv.Execute(t, url, `select pg_create_restore_point('before')`)
	lost := c.create(`{"name": "lost", "interval_seconds": 1, "task_name": "t"}`)
	c.fires(lost, 2)
	archived(t, c)
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	proxy.Retarget(t, restore("before").URL("tactus"))
	c.pool.Reset()

	beat.AwaitLog("resynced.*anew=true")
	relay.AwaitLog("epoch started.*sink=events")
	began := time.Now()
	c.fires(kept, c.runs(kept)+2)
	c.fires(steady, c.runs(steady)+2)
	if n := c.metric(beat, "tactus_beat_schedules"); n != 2 {
		t.Errorf("the beat knows %v schedules, 2 are there", n)
	}
	c.verify(began, c.settled(), 15*time.Second, "--known-restores")
	got := tactus(t, "verify", "--database-url", c.url, "--redis-url", c.redis, "--wait", "1m", "-o", "json")
	if got.code != exitFailure || !strings.Contains(got.out, `"kind": "log_went_back"`) {
		t.Errorf("of what was lost verify says %d: %s", got.code, got.out)
	}
	c.oneTaskEach("steady")
}

// archived waits until what was written so far is in the archive.
func archived(t *testing.T, c *cluster) {
	t.Helper()
	var name string
	if err := c.pool.QueryRow(t.Context(), `select pg_walfile_name(pg_switch_wal())`).Scan(&name); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "the log is archived", func() error {
		var there bool
		err := c.pool.QueryRow(t.Context(), `select coalesce(last_archived_wal >= $1, false) from pg_stat_archiver`, name).Scan(&there)
		if err == nil && !there {
			err = errors.New("it is not")
		}
		return err
	})
}
