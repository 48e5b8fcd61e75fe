package servers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Sentinel is a Redis Sentinel that we run.
type Sentinel struct {
	cfg    Config
	binary binary
	secret string // the password of the Sentinel and of the primary
	port   int
	quorum int
	child  *Child
}

// StartSentinel starts a Sentinel that watches a primary under a name. The primary counts as down when so many
// Sentinels find it down as quorum says.
func StartSentinel(ctx context.Context, name string, primary *Redis, quorum int, cfg Config) (*Sentinel, error) {
	program, err := redisProgram.find(ctx, cfg)
	if err != nil {
		return nil, err
	}
	s := &Sentinel{cfg: cfg, binary: program, secret: primary.secret, quorum: quorum}
	return s, cfg.onFreePort(func(port int) error {
		s.port = port
		return s.start(ctx, name, primary)
	})
}

func (s *Sentinel) start(ctx context.Context, name string, primary *Redis) error {
	log, err := s.cfg.openLog("sentinel.log")
	if err != nil {
		return err
	}
	defer log.Close() // the child has a descriptor of its own
	began, err := endOf(log)
	if err != nil {
		return err
	}
	data, err := s.cfg.dataDir()
	if err != nil {
		return err
	}
	var text strings.Builder
	text.WriteString(fmt.Sprintf(`bind 127.0.0.1
port %d
dir %s
requirepass %s
sentinel monitor %s 127.0.0.1 %d %d
sentinel auth-pass %[4]s %[3]s
sentinel down-after-milliseconds %[4]s 1000
sentinel failover-timeout %[4]s 10000
`, s.port, data, s.secret, name, primary.port, s.quorum))
	for _, setting := range slices.Sorted(maps.Keys(s.cfg.Settings)) {
		text.WriteString(setting + " " + s.cfg.Settings[setting] + "\n")
	}
	path := filepath.Join(data, "sentinel.conf") // Sentinel writes its state into this folder
	if err := hand(path, text.String()); err != nil {
		return fmt.Errorf("configure Sentinel: %w", err)
	}
	if s.child, err = start(s.binary, log, path, "--sentinel"); err != nil {
		return err
	}
	return s.cfg.awaitLogged(ctx, s.child, "Sentinel", "sentinel.log", began, "Sentinel ID is", s.answers)
}

func (s *Sentinel) answers(ctx context.Context) error {
	client := redis.NewClient(&redis.Options{Addr: s.Addr(), Password: s.secret, MaxRetries: -1})
	return errors.Join(client.Ping(ctx).Err(), client.Close())
}

// Addr returns the Sentinel's host and port.
func (s *Sentinel) Addr() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

// Password returns the password of the Sentinel and of the servers that it watches.
func (s *Sentinel) Password() string { return s.secret }

// Kill crashes the Sentinel.
func (s *Sentinel) Kill() error { return s.child.Kill() }
