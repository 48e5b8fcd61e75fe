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

// Target is the stream that a replay writes to.
type Target struct {
	key  string
	sink *redis.EventSink
	mark relay.Mark
}

// ErrNone means that a stream holds no replay.
var ErrNone = errors.New("there is no replay to continue")

// Open returns the target for a key. It refuses a key that workers may read, or that holds anything but a replay.
func Open(
	ctx context.Context, pool *pgxpool.Pool, client goredis.UniversalClient, key string, workers celery.Config,
) (*Target, error) {
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
	return &Refusal{fmt.Sprintf("%s cannot hold a replay: %s; choose a new key, such as tactus:replay:1", key, fmt.Sprintf(format, args...))}
}

// workersKey selects whether any schedule, deleted or not, hands its runs over to a key.
const workersKey = `
select exists (select from tactus.schedules s where ` + sqlexpr.TaskQueue + ` = $1 or ` + sqlexpr.TaskStream + ` = $1)`

func refuseName(
	ctx context.Context, pool *pgxpool.Pool, client goredis.UniversalClient, key string, workers celery.Config,
) error {
	queue := workers.QueueOf(key)
	switch {
	case queue == "":
		return &Refusal{"a replay needs the key of a stream"}
	case key == redis.EventStream:
		return refuse(key, "the relay fills it, and itself publishes again what was lost")
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
		return refuse(key, "schedules hand their runs over to it")
	}
	return nil
}

// Plan returns the plan of the replay in the stream, or ErrNone.
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

// Position returns the position of the last event in the stream.
func (t *Target) Position() int64 { return t.mark.Last.Batch }
