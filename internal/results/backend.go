package results

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/celery"
)

const (
	// mostAtOnce is how many bytes of results are read in one round trip. A larger result is read alone.
	mostAtOnce = 4 << 20
	// largestResult is the size in bytes up to which a result is read at all. Celery's documentation asks for small
	// results.
	largestResult = 32 << 20
)

// ask reads the keys of runs, in as few round trips as their sizes allow. unreadable holds the reasons for keys that
// cannot be read.
func (c *Collector) ask(ctx context.Context, runs []domain.ID) (answers map[domain.ID]answer,
	unreadable map[domain.ID]string, err error,
) {
	if c.backend == nil || len(runs) == 0 {
		return nil, nil, nil
	}
	answers, unreadable = map[domain.ID]answer{}, map[domain.ID]string{}
	sizes, err := c.sizes(ctx, runs)
	if err != nil {
		return nil, nil, fmt.Errorf("read results: %w", err)
	}
	var some []domain.ID
	total := int64(0)
	for i, id := range runs {
		switch size := sizes[i]; {
		case size == 0: // there is no such key
		case size > largestResult:
			unreadable[id] = fmt.Sprintf("it has %d bytes, and at most %d are read", size, largestResult)
			c.metrics.unreadable.Inc()
		case total+size > mostAtOnce && len(some) > 0:
			if err := c.askFor(ctx, some, answers, unreadable); err != nil {
				return nil, nil, err
			}
			some, total = []domain.ID{id}, size
		default:
			some, total = append(some, id), total+size
		}
	}
	return answers, unreadable, c.askFor(ctx, some, answers, unreadable)
}

// sizes returns the sizes of the keys of runs in bytes, 0 for a key that does not exist. If Redis refuses to tell a
// size, because the key is not a string or this user may not read it, the size is assumed to be so large that the key
// is read alone.
func (c *Collector) sizes(ctx context.Context, runs []domain.ID) ([]int64, error) {
	sizes, asked := make([]int64, len(runs)), make([]*redis.IntCmd, len(runs))
	pipe := c.backend.Pipeline()
	for i, id := range runs {
		asked[i] = pipe.StrLen(ctx, c.key(id))
	}
	_, err := pipe.Exec(ctx)
	for i, cmd := range asked {
		switch _, refused := errors.AsType[redis.Error](cmd.Err()); {
		case refused:
			sizes[i] = mostAtOnce
		case cmd.Err() != nil:
			return nil, err
		default:
			sizes[i] = cmd.Val()
		}
	}
	return sizes, nil
}

func (c *Collector) key(run domain.ID) string {
	return c.cfg.KeyPrefix + celery.ResultPrefix + run.String()
}

// askFor reads the keys of runs in one round trip, and adds what they hold.
func (c *Collector) askFor(ctx context.Context, runs []domain.ID, answers map[domain.ID]answer,
	unreadable map[domain.ID]string,
) error {
	if len(runs) == 0 {
		return nil
	}
	keys := make([]string, len(runs))
	for i, id := range runs {
		keys[i] = c.key(id)
	}
	values, err := c.values(ctx, keys)
	if err != nil {
		return fmt.Errorf("read results: %w", err)
	}
	for i, value := range values {
		text, ok := value.(string)
		if !ok {
			if err, failed := value.(error); failed {
				unreadable[runs[i]] = err.Error()
				c.metrics.unreadable.Inc()
			}
			continue // there is no such key
		}
		result, err := celery.ParseResult([]byte(text))
		if err != nil {
			unreadable[runs[i]] = err.Error()
			c.unreadable(err)
			continue
		}
		if a, ok := fromResult(result, time.Now()); ok && a.run == runs[i] {
			c.leftOut(result)
			answers[a.run] = a
		}
	}
	return nil
}

// values reads keys. A key that a running server refuses to return has an error in place of its value: access may be
// denied, or the value too large to arrive in time. values finds such keys by halving the list.
func (c *Collector) values(ctx context.Context, keys []string) ([]any, error) {
	values, err := c.backend.MGet(ctx, keys...).Result()
	if err == nil || ctx.Err() != nil || c.backend.Ping(ctx).Err() != nil {
		return values, err
	}
	if len(keys) == 1 {
		return []any{err}, nil
	}
	first, err := c.values(ctx, keys[:len(keys)/2])
	if err != nil {
		return nil, err
	}
	second, err := c.values(ctx, keys[len(keys)/2:])
	return append(first, second...), err
}

// unreadable counts a result that cannot be read, and logs only the first: an application with another serializer uses
// it for all its results.
func (c *Collector) unreadable(err error) {
	c.metrics.unreadable.Inc()
	c.complained.Do(func() {
		c.log.Error("cannot read results: set result_serializer to json", "err", err)
	})
}

// leftOut counts a result of which a part cannot be read, and logs only the first: an application that makes such
// results makes many.
func (c *Collector) leftOut(r celery.Result) {
	if len(r.Unread) == 0 {
		return
	}
	c.metrics.unreadable.Inc()
	c.toldUnread.Do(func() {
		c.log.Warn("recording results without what cannot be read of them", "run_id", r.TaskID, "reason",
			strings.Join(r.Unread, ", "))
	})
}
