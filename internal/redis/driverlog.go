package redis

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/redis/go-redis/v9"
)

// LogTo has the lines of go-redis in the log of the process. They say little that whoever asked Redis does not log
// itself, but they name the node.
func LogTo(log *slog.Logger) { redis.SetLogger(driverLog{log}) }

type driverLog struct{ log *slog.Logger }

// Printf implements the interface that go-redis logs to.
func (d driverLog) Printf(ctx context.Context, format string, args ...any) {
	d.log.WarnContext(ctx, "go-redis", "err", strings.TrimSpace(fmt.Sprintf(format, args...)))
}
