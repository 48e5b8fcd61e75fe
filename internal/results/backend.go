package results

import (
	"context"
	"fmt"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/celery"
)

// ask reads the keys of runs in one round trip. unreadable holds the reasons for keys that cannot be read.
func (c *Collector) ask(ctx context.Context, runs []domain.ID) (answers map[domain.ID]answer,
	unreadable map[domain.ID]string, err error,
) {
	if c.backend == nil || len(runs) == 0 {
		return nil, nil, nil
	}
	keys := make([]string, len(runs))
	for i, id := range runs {
		keys[i] = c.cfg.KeyPrefix + celery.ResultPrefix + id.String()
	}
	answers, unreadable = map[domain.ID]answer{}, map[domain.ID]string{}
	values, err := c.values(ctx, keys)
	if err != nil {
		return nil, nil, fmt.Errorf("read results: %w", err)
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
			answers[a.run] = a
		}
	}
	return answers, unreadable, nil
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
