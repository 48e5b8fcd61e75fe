package redis

import (
	"context"
	"fmt"
	"strings"

	goredis "github.com/redis/go-redis/v9"
)

// CheckBroker returns an error if tasks are not safe in a Redis: if it evicts keys without an expiry when its memory is
// full, or is a node of a Cluster. It asks by INFO, which managed servers allow where they refuse CONFIG.
func CheckBroker(ctx context.Context, client goredis.UniversalClient) error {
	if err := CheckEviction(ctx, client); err != nil {
		return err
	}
	cluster, err := info(ctx, client, "cluster", "cluster_enabled")
	if err == nil && cluster == "1" {
		return errTasksOnCluster
	}
	return err
}

// CheckEviction returns an error if a Redis evicts keys without an expiry when its memory is full. It asks every master
// of a Cluster, because a resharding can move the stream to any of them.
func CheckEviction(ctx context.Context, client goredis.UniversalClient) error {
	if cluster, ok := client.(*goredis.ClusterClient); ok {
		return cluster.ForEachMaster(ctx, func(ctx context.Context, node *goredis.Client) error {
			return wrap(node.Options().Addr, checkEviction(ctx, node))
		})
	}
	return checkEviction(ctx, client)
}

func checkEviction(ctx context.Context, client goredis.UniversalClient) error {
	policy, err := info(ctx, client, "memory", "maxmemory_policy")
	if err == nil && strings.HasPrefix(policy, "allkeys-") {
		return fmt.Errorf("maxmemory-policy is %s, so Redis evicts queues and events when its memory is full: "+
			"set it to noeviction", policy)
	}
	return err
}

// info returns one value of a section of INFO; "" when the server does not report it.
func info(ctx context.Context, client goredis.UniversalClient, section, name string) (string, error) {
	text, err := client.Info(ctx, section).Result()
	if err != nil {
		return "", fmt.Errorf("ask Redis about its %s: %w", section, err)
	}
	for line := range strings.SplitSeq(text, "\r\n") {
		if key, value, ok := strings.Cut(line, ":"); ok && key == name {
			return value, nil
		}
	}
	return "", nil
}
