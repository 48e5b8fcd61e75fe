package replay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
	"github.com/tactus-dev/tactus/relay"
)

// Target is the stream of a replay.
type Target struct {
	key  string
	sink *redis.EventSink
	mark relay.Mark
}

// ErrNone means that there is no replay in a stream.
var ErrNone = errors.New("there is no replay to go on with")

// Open looks at a key, which workers must not read.
func Open(ctx context.Context, pool *pgxpool.Pool, client goredis.UniversalClient, key string, workers celery.Config) (*Target, error) {
	if err := refuseName(ctx, pool, client, key, workers); err != nil {
		return nil, err
	}
	is, err := client.Type(ctx, key).Result()
	if err != nil {
		return nil, fmt.Errorf("look at %s: %w", key, err)
	}
	if is != "none" && is != "stream" {
		return nil, refuse(key, "it is a %s", is)
	}
	t := &Target{key: key, sink: redis.NewEventSink(client, redis.EventConfig{Stream: key})}
	if t.mark, err = t.sink.Mark(ctx); err != nil {
		return nil, fmt.Errorf("look at %s: %w", key, err)
	}
	if (is == "stream" || t.mark.Epoch != "") && !strings.HasPrefix(t.mark.Epoch, marked) {
		return nil, refuse(key, "it is a stream that no replay made")
	}
	return t, nil
}

func refuse(key, format string, args ...any) error {
	return &Refusal{fmt.Sprintf("%s is no place for a replay: %s; choose a new key, such as tactus:replay:1", key, fmt.Sprintf(format, args...))}
}

// workersKey tells whether a schedule, living or not, runs its task by a key.
const workersKey = `
select exists (select from tactus.schedules s where ` + sqlexpr.TaskQueue + ` = $1 or ` + sqlexpr.TaskStream + ` = $1)`

func refuseName(ctx context.Context, pool *pgxpool.Pool, client goredis.UniversalClient, key string, workers celery.Config) error {
	queue := workers.QueueOf(key)
	switch {
	case queue == "":
		return &Refusal{"a replay needs the key of a stream"}
	case key == redis.EventStream:
		return refuse(key, "the relay fills it, and publishes again by itself what it has lost")
	case workers.IsDefault(queue):
		return refuse(key, "Celery workers read it")
	case strings.HasPrefix(queue, "_kombu.") || strings.HasPrefix(queue, "celery-task-meta-") || strings.HasPrefix(queue, "unacked"):
		return refuse(key, "it is Celery's own")
	}
	bound, err := client.Exists(ctx, workers.KeyPrefix+"_kombu.binding."+queue).Result()
	if err != nil {
		return fmt.Errorf("look at %s: %w", key, err)
	}
	if bound > 0 {
		return refuse(key, "Celery workers read it")
	}
	var used bool
	if err := pool.QueryRow(ctx, workersKey, queue).Scan(&used); err != nil {
		return fmt.Errorf("look for %s in the schedules: %w", key, err)
	}
	if used {
		return refuse(key, "schedules run their tasks by it")
	}
	return nil
}

// Plan is that of the replay which the stream holds, or ErrNone.
func (t *Target) Plan() (p Plan, err error) {
	text, ok := strings.CutPrefix(t.mark.Epoch, marked)
	if !ok {
		return p, ErrNone
	}
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return p, fmt.Errorf("read the plan in %s: %w", t.key, err)
	}
	return p, nil
}

// Position is that of the last event in the stream.
func (t *Target) Position() int64 { return t.mark.Last.Batch }
