package testenv

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/servers"
)

// Sentinel starts a Sentinel for t that watches a primary as "main" and knows its replicas. It alone decides that the
// primary is down. It gives the URL by which the primary of the day is found.
func Sentinel(t testing.TB, primary *servers.Redis, replicas int) (url string) {
	t.Helper()
	_, url = Sentinels(t, primary, replicas, 1, 1)
	return url
}

// Sentinels starts some Sentinels as Sentinel does, of which quorum have to agree that the primary is down. They know
// each other.
func Sentinels(
	t testing.TB, primary *servers.Redis, replicas, number, quorum int,
) (all []*servers.Sentinel, url string) {
	t.Helper()
	var addresses []string
	for range number {
		s := StartSentinel(t, primary, quorum, nil)
		all, addresses = append(all, s), append(addresses, s.Addr())
	}
	for _, s := range all {
		client := redis.NewSentinelClient(&redis.Options{Addr: s.Addr(), Password: s.Password()})
		defer client.Close()
		Eventually(t, "Sentinel knows the replicas and the other Sentinels", func() error {
			known, err := client.Replicas(t.Context(), "main").Result()
			if err != nil {
				return err
			}
			others, err := client.Sentinels(t.Context(), "main").Result()
			if err == nil && (len(known) != replicas || len(others) != number-1) {
				err = fmt.Errorf("it knows %d and %d", len(known), len(others))
			}
			return err
		})
	}
	return all, fmt.Sprintf("redis+sentinel://:%s@%s/main/0?sentinel_password=%[1]s", all[0].Password(),
		strings.Join(addresses, ","))
}

// StartSentinel starts a Sentinel for t that watches a primary as "main", with settings of its own.
func StartSentinel(t testing.TB, primary *servers.Redis, quorum int, settings map[string]string) *servers.Sentinel {
	t.Helper()
	cfg, err := serverConfig(settings)
	if err != nil {
		t.Fatal(err)
	}
	s, err := servers.StartSentinel(t.Context(), "main", primary, quorum, cfg)
	if err != nil {
		t.Fatalf("start Sentinel: %v", err)
	}
	t.Cleanup(func() { _ = s.Kill() }) // nothing in it is needed any more
	return s
}

// slots are how a Cluster of three shares what there is.
var slots = [][2]int{{0, 5460}, {5461, 10922}, {10923, 16383}}

// Cluster starts a Redis Cluster of three for t alone, and gives its URL.
func Cluster(t testing.TB) (nodes []*servers.Redis, url string) {
	t.Helper()
	var addresses []string
	for range slots {
		node := clusterNode(t)
		nodes, addresses = append(nodes, node), append(addresses, node.Addr())
	}
	for i, node := range nodes {
		client := Client(t, node.URL(0))
		if err := client.ClusterAddSlotsRange(t.Context(), slots[i][0], slots[i][1]).Err(); err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			meet(t, node, nodes[0])
		}
	}
	for _, node := range nodes {
		awaitWhole(t, node)
	}
	return nodes, fmt.Sprintf("redis+cluster://:%s@%s", password(), strings.Join(addresses, ","))
}

// ClusterReplica adds a node to a Cluster that Cluster has started: a replica of the master that has a key. It has all
// data.
func ClusterReplica(t testing.TB, nodes []*servers.Redis, key string) (master, replica *servers.Redis) {
	t.Helper()
	slot, err := Client(t, nodes[0].URL(0)).ClusterKeySlot(t.Context(), key).Result()
	if err != nil {
		t.Fatal(err)
	}
	for i := range slots {
		if slots[i][0] <= int(slot) && int(slot) <= slots[i][1] {
			master = nodes[i]
		}
	}
	id, err := Client(t, master.URL(0)).Do(t.Context(), "cluster", "myid").Text()
	if err != nil {
		t.Fatal(err)
	}
	replica = clusterNode(t)
	meet(t, replica, master)
	awaitWhole(t, replica)
	client := Client(t, replica.URL(0))
	Eventually(t, "it replicates", func() error {
		if err := client.ClusterReplicate(t.Context(), id).Err(); err != nil { // it may not know the master yet
			return err
		}
		text, err := client.Info(t.Context(), "replication").Result()
		if err == nil && !strings.Contains(text, "master_link_status:up") {
			err = errors.New(text)
		}
		return err
	})
	return master, replica
}

func clusterNode(t testing.TB) *servers.Redis {
	t.Helper()
	return RedisServer(t, map[string]string{
		"cluster-enabled": "yes", "cluster-port": FreePort(t), "cluster-node-timeout": "2000", "repl-diskless-sync-delay": "0",
	})
}

// meet makes a node known to the Cluster of another.
func meet(t testing.TB, node, other *servers.Redis) {
	t.Helper()
	bus, err := Client(t, other.URL(0)).ConfigGet(t.Context(), "cluster-port").Result()
	if err != nil {
		t.Fatal(err)
	}
	host, base, _ := strings.Cut(other.Addr(), ":")
	if err := Client(t, node.URL(0)).Do(t.Context(), "cluster", "meet", host, base,
		bus["cluster-port"]).Err(); err != nil {
		t.Fatal(err)
	}
}

func awaitWhole(t testing.TB, node *servers.Redis) {
	t.Helper()
	client := Client(t, node.URL(0))
	Eventually(t, "the Cluster is whole", func() error {
		state, err := client.ClusterInfo(t.Context()).Result()
		if err == nil && !(strings.Contains(state, "cluster_state:ok") && strings.Contains(state, "cluster_slots_ok:16384")) {
			err = errors.New(state)
		}
		return err
	})
}
