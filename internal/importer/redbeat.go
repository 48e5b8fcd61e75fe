package importer

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/domain/zone"
)

// DefaultRedBeatPrefix begins RedBeat's keys unless redbeat_key_prefix says otherwise.
const DefaultRedBeatPrefix = "redbeat:"

const redBeatPage = 500

// ReadRedBeat reads all entries that RedBeat keeps under a key prefix. It reads only.
func ReadRedBeat(ctx context.Context, client redis.UniversalClient, prefix string) (entries []Entry, err error) {
	keys, err := client.ZRange(ctx, prefix+":schedule", 0, -1).Result()
	if err != nil {
		return nil, fmt.Errorf("read RedBeat: %w", err)
	}
	for len(keys) > 0 {
		page := keys[:min(redBeatPage, len(keys))]
		keys = keys[len(page):]
		hashes, err := client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, key := range page {
				p.HMGet(ctx, key, "definition", "meta")
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("read RedBeat: %w", err)
		}
		for i, hash := range hashes {
			fields := hash.(*redis.SliceCmd).Val()
			definition, _ := fields[0].(string) // absent fields are nil
			meta, _ := fields[1].(string)
			entries = append(entries, redBeatEntry(strings.TrimPrefix(page[i], prefix), definition, meta))
		}
	}
	return entries, nil
}

func redBeatEntry(name, definition, meta string) Entry {
	var b beatEntry
	if err := json.Unmarshal([]byte(definition), &b); err != nil {
		e := Entry{Refused: fmt.Sprintf("json_invalid at /definition: %v", err)}
		e.Definition.Name = name
		return e
	}
	return b.entry(lastRun(meta))
}

// lastRun reads the time that RedBeat notes, whose zone is a name or an offset in seconds; zero when it never ran.
func lastRun(meta string) time.Time {
	var noted struct {
		LastRunAt *struct {
			Year, Month, Day, Hour, Minute, Second, Microsecond int
			Timezone                                            any
		} `json:"last_run_at"`
	}
	if json.Unmarshal([]byte(meta), &noted) != nil || noted.LastRunAt == nil {
		return time.Time{}
	}
	location := time.UTC
	switch in := noted.LastRunAt.Timezone.(type) {
	case float64:
		location = time.FixedZone("", int(in))
	case string:
		if loaded, err := zone.Load(in); err == nil {
			location = loaded
		}
	}
	t := noted.LastRunAt
	return time.Date(t.Year, time.Month(t.Month), t.Day, t.Hour, t.Minute, t.Second, t.Microsecond*1000, location)
}
