package testenv

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/redis/go-redis/v9"
)

// silence keeps out of the tests' output what go-redis logs of the failures that tests bring about; with -v it is
// there.
func silence() { redis.SetLogger(redisLog{}) }

type redisLog struct{}

func (redisLog) Printf(_ context.Context, format string, args ...any) {
	if testing.Verbose() {
		fmt.Fprintf(os.Stderr, "redis: "+format+"\n", args...)
	}
}
