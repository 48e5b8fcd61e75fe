package testenv

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/servers"
)

// Sentinel starts a Sentinel for t that watches a primary as "main" and knows its replicas. It gives the URL by which the
// primary of the day is found.
func Sentinel(t testing.TB, primary *servers.Redis, replicas int) (url string) {
	t.Helper()
	cfg, err := serverConfig(nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := servers.StartSentinel(t.Context(), "main", primary, cfg)
	if err != nil {
		t.Fatalf("start Sentinel: %v", err)
	}
	t.Cleanup(func() { _ = s.Kill() }) // nothing in it is needed any more
	client := redis.NewSentinelClient(&redis.Options{Addr: s.Addr()})
	defer client.Close()
	Eventually(t, "Sentinel knows the replicas", func() error {
		known, err := client.Replicas(t.Context(), "main").Result()
		if err == nil && len(known) != replicas {
			err = fmt.Errorf("it knows %d", len(known))
		}
		return err
	})
	return "redis+sentinel://" + s.Addr() + "/main/0"
}

// Cluster starts a Redis Cluster of three for t alone, and gives its URL.
func Cluster(t testing.TB) (nodes []*servers.Redis, url string) {
	t.Helper()
	slots := [][2]int{{0, 5460}, {5461, 10922}, {10923, 16383}}
	var addresses []string
	for range slots {
		node := RedisServer(t, map[string]string{"cluster-enabled": "yes", "cluster-port": freePort(t), "cluster-node-timeout": "5000"})
		nodes, addresses = append(nodes, node), append(addresses, node.Addr())
	}
	for i, node := range nodes {
		client := Client(t, node.URL(0))
		if err := client.ClusterAddSlotsRange(t.Context(), slots[i][0], slots[i][1]).Err(); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			continue
		}
		first, err := Client(t, nodes[0].URL(0)).ConfigGet(t.Context(), "cluster-port").Result()
		if err != nil {
			t.Fatal(err)
		}
		host, port, _ := strings.Cut(nodes[0].Addr(), ":")
		if err := client.Do(t.Context(), "cluster", "meet", host, port, first["cluster-port"]).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for _, node := range nodes {
		client := Client(t, node.URL(0))
		Eventually(t, "the Cluster is whole", func() error {
			state, err := client.ClusterInfo(t.Context()).Result()
			if err == nil && !(strings.Contains(state, "cluster_state:ok") && strings.Contains(state, "cluster_slots_ok:16384")) {
				err = errors.New(state)
			}
			return err
		})
	}
	return nodes, "redis+cluster://" + strings.Join(addresses, ",")
}
