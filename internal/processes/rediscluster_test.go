package processes

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/relay"
)

// TestRedisClusterFailover kills the master that has the events while schedules change. Its replica takes over, relay
// and beat go on with it, and the checker finds nothing lost, though what the replica had not received yet was lost
// with the master.
func TestRedisClusterFailover(t *testing.T) {
	t.Parallel()
	nodes, url := testenv.Cluster(t)
	master, replica := testenv.ClusterReplica(t, nodes, redis.EventStream)
	c := New(t, testenv.DatabaseURL(t), url, "CELERY_BROKER_URL="+testenv.RedisURL(t))
	c.Start("relay")
	beat := c.Beat("one")
	s := c.Create(`{"name": "secondly", "interval_seconds": 1, "task_name": "app.task"}`)
	c.Fires(s, 2)
	options, err := goredis.ParseURL(replica.URL(0))
	if err != nil {
		t.Fatal(err)
	}
	options.OnConnect = func(ctx context.Context, conn *goredis.Conn) error {
		return conn.ReadOnly(ctx).Err() // else a replica of a Cluster answers nothing
	}
	client := goredis.NewClient(options)
	defer client.Close()
	// heard returns the batch up to which the beat has read, according to the replica; 0 while the group does not exist
	// yet.
	heard := func() int64 {
		groups, err := client.XInfoGroups(t.Context(), redis.EventStream).Result()
		if err != nil || len(groups) != 1 {
			return 0
		}
		id, err := relay.ParseID(groups[0].LastDeliveredID)
		if err != nil {
			t.Error(err)
		}
		return id.Batch
	}
	testenv.Eventually(t, "the replica has what the beat has heard", func() error { return above(heard(), 0) })

	stop := make(chan struct{})
	var writing sync.WaitGroup
	writing.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
			if _, err := c.Store.Merge(t.Context(), s.ID, 0, fmt.Appendf(nil, `{"description": "%d"}`, n)); err != nil {
				t.Error(err)
				return
			}
		}
	})
	before := heard()
	testenv.Eventually(t, "changes are heard of", func() error { return above(heard(), before+10) })
	if err := master.Kill(); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "the replica takes over", func() error {
		text, err := client.Info(t.Context(), "replication").Result()
		if err == nil && !strings.Contains(text, "role:master") {
			err = errors.New(text)
		}
		return err
	})
	t.Log("the replica has taken over")
	before = heard()
	testenv.Eventually(t, "changes are heard of again", func() error { return above(heard(), before+10) })
	close(stop)
	writing.Wait()
	c.Fires(c.Create(`{"name": "after", "interval_seconds": 1, "task_name": "app.task"}`), 2)
	testenv.Eventually(t, "the beat has heard of everything", func() error {
		if lag := c.Metric(beat, "tactus_beat_feed_lag_events"); lag != 0 {
			return fmt.Errorf("%v events are left", lag)
		}
		return nil
	})
	c.Verify(s.CreatedAt, c.Settled(), 5*time.Second)
}

func above(n, least int64) error {
	if n <= least {
		return fmt.Errorf("%d, want more than %d", n, least)
	}
	return nil
}
