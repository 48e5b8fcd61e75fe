package redis_test

import (
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/testenv"
)

func TestCheckBroker(t *testing.T) {
	t.Parallel()
	if err := redis.CheckBroker(t.Context(), testenv.Redis(t)); err != nil {
		t.Error(err)
	}
	evicting := testenv.RedisServer(t, map[string]string{"maxmemory": "10mb", "maxmemory-policy": "allkeys-lru"})
	client := testenv.Client(t, evicting.URL(0))
	if err := redis.CheckBroker(t.Context(), client); err == nil || !strings.Contains(err.Error(), "allkeys-lru") {
		t.Errorf("a Redis that evicts any key: %v", err)
	}
	volatile := client.ConfigSet(t.Context(), "maxmemory-policy", "volatile-lru")
	if err := volatile.Err(); err != nil {
		t.Fatal(err)
	}
	if err := redis.CheckBroker(t.Context(), client); err != nil {
		t.Errorf("a Redis that evicts only keys with an expiry: %v", err)
	}
	node := testenv.RedisServer(t, map[string]string{"cluster-enabled": "yes"})
	if err := redis.CheckBroker(t.Context(), testenv.Client(t, node.URL(0))); err == nil || !strings.Contains(err.Error(), "Cluster") {
		t.Errorf("a node of a Cluster: %v", err)
	}
}

// TestCheckEvictionOnCluster has one master of three that evicts, and finds that master each time.
func TestCheckEvictionOnCluster(t *testing.T) {
	t.Parallel()
	nodes, url := testenv.Cluster(t)
	client := connect(t, url)
	if err := redis.CheckEviction(t.Context(), client); err != nil {
		t.Error(err)
	}
	if err := testenv.Client(t, nodes[1].URL(0)).ConfigSet(t.Context(), "maxmemory-policy", "allkeys-lru").Err(); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if err := redis.CheckEviction(t.Context(), client); err == nil || !strings.Contains(err.Error(), nodes[1].Addr()+": maxmemory-policy is allkeys-lru") {
			t.Fatalf("one of three evicts: %v", err)
		}
	}
}
