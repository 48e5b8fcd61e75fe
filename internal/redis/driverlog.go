package redis

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/redis/go-redis/v9"
)

// LogTo makes go-redis log to the log of the process. Most of its lines repeat what the callers of go-redis log
// themselves, but they name the node.
func LogTo(log *slog.Logger) { redis.SetLogger(driverLog{log}) }

type driverLog struct{ log *slog.Logger }

// Printf implements the interface that go-redis logs to.
func (d driverLog) Printf(ctx context.Context, format string, args ...any) {
	d.log.WarnContext(ctx, "go-redis", "err", strings.TrimSpace(fmt.Sprintf(format, args...)))
}
