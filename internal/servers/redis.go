package servers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/redis/go-redis/v9"
)

// Redis is a Redis server of ours.
type Redis struct {
	cfg    Config
	binary binary
	port   int
	child  *Child
}

// StartRedis starts a server on the data in cfg.Dir.
func StartRedis(ctx context.Context, cfg Config) (*Redis, error) {
	program, err := redisProgram.find(ctx, cfg)
	if err != nil {
		return nil, err
	}
	r := &Redis{cfg: cfg, binary: program}
	return r, cfg.onFreePort(func(port int) error {
		r.port = port
		return r.Start(ctx)
	})
}

// Start starts the server again on the same port, with the data that is on disk.
func (r *Redis) Start(ctx context.Context) error {
	log, err := r.cfg.openLog("redis.log")
	if err != nil {
		return err
	}
	defer log.Close() // the child has its own
	settings := map[string]string{
		"bind": "127.0.0.1", "port": fmt.Sprint(r.port), "dir": r.cfg.Dir, "daemonize": "no",
		"appendonly": "no", "save": "",
	}
	if r.cfg.Durable {
		maps.Copy(settings, map[string]string{"appendonly": "yes", "appendfsync": "everysec"})
	}
	maps.Copy(settings, r.cfg.Settings)
	var args []string
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		args = append(args, "--"+name, settings[name])
	}
	if r.child, err = start(r.binary, log, args...); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := r.child.await(ctx, r.answers); err != nil {
		return errors.Join(fmt.Errorf("start Redis: %w; its log: %s", err, tail(filepath.Join(r.cfg.Dir, "redis.log"))), r.child.Kill())
	}
	return nil
}

func (r *Redis) answers(ctx context.Context) error {
	client := redis.NewClient(&redis.Options{Addr: r.Addr(), MaxRetries: -1})
	dir, err := client.ConfigGet(ctx, "dir").Result()
	if err == nil {
		err = differs(dir["dir"], r.cfg.Dir)
	}
	return errors.Join(err, client.Close())
}

// Addr is the server's host and port.
func (r *Redis) Addr() string { return fmt.Sprintf("127.0.0.1:%d", r.port) }

// URL names a numbered database of the server.
func (r *Redis) URL(db int) string { return fmt.Sprintf("redis://%s/%d", r.Addr(), db) }

// PID is the process id of the server.
func (r *Redis) PID() int { return r.child.PID() }

// Ended is closed when the server has ended.
func (r *Redis) Ended() <-chan struct{} { return r.child.Ended() }

// Stop shuts down cleanly, saving what is configured to be saved.
func (r *Redis) Stop(ctx context.Context) error { return r.child.Stop(ctx, syscall.SIGTERM) }

// Kill crashes the server.
func (r *Redis) Kill() error { return r.child.Kill() }

// Pause stops the server from answering, until Resume.
func (r *Redis) Pause() error { return r.child.Pause() }

// Resume lets a paused server go on.
func (r *Redis) Resume() error { return r.child.Resume() }

// Wipe removes the data on disk. The server must not be running.
func (r *Redis) Wipe() error {
	if !r.child.HasEnded() {
		return errors.New("wipe: the server is running")
	}
	return errors.Join(os.RemoveAll(filepath.Join(r.cfg.Dir, "dump.rdb")), os.RemoveAll(filepath.Join(r.cfg.Dir, "appendonlydir")))
}
