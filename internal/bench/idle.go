package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/wait"
)

// idle measures the CPU time that a relay and a beat cost while nothing is due and nothing changes: of this process, of
// Redis and, if the server is ours and the system reports it, of PostgreSQL.
func idle(ctx context.Context, l *Lab) (figures []Figure, err error) {
	pool, drop, err := l.Database(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, drop()) }()
	client, err := l.Redis(ctx)
	if err != nil {
		return nil, err
	}
	d := typical()
	d.CronExpression = "0 0 29 2 1"
	s, err := startScene(ctx, pool, client, []domain.Definition{d})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	wanted := []Wanted{{"idle, relay and beat", Percent, Goal{}}, {"idle, Redis for them", Percent, Goal{}}}
	if _, ok := l.postgresCPU(); ok {
		wanted = append(wanted, Wanted{"idle, PostgreSQL for them", Percent, Goal{}})
	}
	return l.Repeat(ctx, wanted, func(ctx context.Context) ([]float64, error) { return l.idleOnce(ctx, client) })
}

func (l *Lab) idleOnce(ctx context.Context, client goredis.UniversalClient) ([]float64, error) {
	span := time.Duration(l.Size(10_000)) * time.Millisecond
	before, err := l.cpu(ctx, client)
	if err != nil {
		return nil, err
	}
	if err := wait.For(ctx, span); err != nil {
		return nil, err
	}
	after, err := l.cpu(ctx, client)
	if err != nil {
		return nil, err
	}
	for i := range after {
		after[i] = 100 * (after[i] - before[i]) / span.Seconds()
	}
	return after, nil
}

// cpu returns the seconds of CPU time that this process, Redis and PostgreSQL have used.
func (l *Lab) cpu(ctx context.Context, client goredis.UniversalClient) ([]float64, error) {
	var own syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &own); err != nil {
		return nil, fmt.Errorf("read our CPU time: %w", err)
	}
	info, err := client.InfoMap(ctx, "cpu").Result()
	if err != nil {
		return nil, fmt.Errorf("read the CPU time of Redis: %w", err)
	}
	var redis float64
	for _, name := range []string{"used_cpu_sys", "used_cpu_user"} {
		used, err := strconv.ParseFloat(info["CPU"][name], 64)
		if err != nil {
			return nil, fmt.Errorf("read the CPU time of Redis: %w", err)
		}
		redis += used
	}
	all := []float64{time.Duration(own.Utime.Nano() + own.Stime.Nano()).Seconds(), redis}
	if used, ok := l.postgresCPU(); ok {
		all = append(all, used)
	}
	return all, nil
}

const ticks = 100 // per second: Linux counts CPU time in ticks

// postgresCPU adds up the CPU time of our server's processes; false when it is unknown.
func (l *Lab) postgresCPU() (seconds float64, ok bool) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if l.postgres == nil || err != nil {
		return 0, false
	}
	server := strconv.Itoa(l.postgres.PID())
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // the process has ended
		}
		// The name, in parentheses, may contain anything. Behind it come the state, the parent and, from the 12th field
		// on, times.
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if len(fields) < 13 || fields[1] != server && filepath.Base(filepath.Dir(path)) != server {
			continue
		}
		for _, field := range fields[11:13] {
			n, err := strconv.ParseFloat(field, 64)
			if err != nil {
				return 0, false
			}
			seconds += n / ticks
		}
	}
	return seconds, len(stats) > 0
}
