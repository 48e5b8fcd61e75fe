package servers

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"
)

// Redis is a Redis server that we run. Its default user has a password.
type Redis struct {
	cfg    Config
	binary binary
	secret string
	data   string
	port   int
	child  *Child
}

// StartRedis starts a server on the data in cfg.Dir.
func StartRedis(ctx context.Context, cfg Config) (*Redis, error) {
	return startRedis(ctx, redisProgram, cfg)
}

// StartValkey is StartRedis for Valkey, which speaks the same protocol.
func StartValkey(ctx context.Context, cfg Config) (*Redis, error) {
	return startRedis(ctx, valkeyProgram, cfg)
}

func startRedis(ctx context.Context, p program, cfg Config) (*Redis, error) {
	program, err := p.find(ctx, cfg)
	if err != nil {
		return nil, err
	}
	r := &Redis{cfg: cfg, binary: program}
	if err := r.init(); err != nil {
		return nil, err
	}
	return r, cfg.onFreePort(func(port int) error {
		r.port = port
		return r.Start(ctx)
	})
}

// init creates the data folder and the password. It moves data from where earlier versions kept them.
func (r *Redis) init() (err error) {
	if r.data, err = r.cfg.dataDir(); err != nil {
		return err
	}
	for _, name := range persisted {
		err := os.Rename(filepath.Join(r.cfg.Dir, name), filepath.Join(r.data, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("move the data of Redis: %w", err)
		}
	}
	if r.secret = r.cfg.Password; r.secret == "" {
		r.secret = NewPassword() // another one each time, as CreateOwned does
	}
	if err := os.Remove(r.cfg.secretFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget the password of earlier versions: %w", err)
	}
	return nil
}

// persisted lists the files that Redis keeps on disk.
var persisted = []string{"dump.rdb", "appendonly.aof", "appendonlydir"}

// configure writes the settings that must not appear in the process list. A replica has the password of its primary.
func (r *Redis) configure() (path string, err error) {
	path = filepath.Join(r.cfg.Dir, "redis.conf")
	return path, hand(path, fmt.Sprintf("requirepass %s\nmasterauth %[1]s\n", r.secret))
}

// Start starts the server again, on the same port, with the data on disk.
func (r *Redis) Start(ctx context.Context) error {
	log, err := r.cfg.openLog("redis.log")
	if err != nil {
		return err
	}
	defer log.Close() // the child has a descriptor of its own
	began, err := endOf(log)
	if err != nil {
		return err
	}
	settings := map[string]string{
		"bind": "127.0.0.1", "port": fmt.Sprint(r.port), "dir": r.data, "daemonize": "no",
		"appendonly": "no", "save": "",
	}
	if r.cfg.Durable {
		maps.Copy(settings, map[string]string{"appendonly": "yes", "appendfsync": "everysec"})
	}
	maps.Copy(settings, r.cfg.Settings)
	path, err := r.configure()
	if err != nil {
		return fmt.Errorf("configure Redis: %w", err)
	}
	args := []string{path}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		args = append(append(args, "--"+name), words(name, settings[name])...)
	}
	if r.child, err = start(r.binary, log, args...); err != nil {
		return err
	}
	return r.cfg.awaitLogged(ctx, r.child, "Redis", "redis.log", began, readyToAccept, r.answers)
}

// readyToAccept is what Redis and Valkey log once they listen, and have loaded their data.
const readyToAccept = "Ready to accept connections"

// words splits a setting into arguments. Redis 6 accepts a setting of several words only word by word.
func words(name, value string) []string {
	if name == "save" || name == "replicaof" {
		if several := strings.Fields(value); len(several) > 1 {
			return several
		}
	}
	return []string{value}
}

func (r *Redis) answers(ctx context.Context) error {
	client := redis.NewClient(&redis.Options{Addr: r.Addr(), Password: r.secret, MaxRetries: -1})
	dir, err := client.ConfigGet(ctx, "dir").Result()
	if err == nil {
		err = differs(dir["dir"], r.data)
	}
	return errors.Join(err, client.Close())
}

// Addr returns the server's host and port.
func (r *Redis) Addr() string { return fmt.Sprintf("127.0.0.1:%d", r.port) }

// URL returns the URL of a numbered database of the server.
func (r *Redis) URL(db int) string { return fmt.Sprintf("redis://:%s@%s/%d", r.secret, r.Addr(), db) }

// PID returns the process id of the server.
func (r *Redis) PID() int { return r.child.PID() }

// Ended returns a channel that is closed when the server has ended.
func (r *Redis) Ended() <-chan struct{} { return r.child.Ended() }

// Stop shuts the server down cleanly; it saves what it is configured to save.
func (r *Redis) Stop(ctx context.Context) error { return r.child.Stop(ctx, syscall.SIGTERM) }

// Kill crashes the server.
func (r *Redis) Kill() error { return r.child.Kill() }

// Pause suspends the server until Resume.
func (r *Redis) Pause() error { return r.child.Pause() }

// Resume continues a suspended server.
func (r *Redis) Resume() error { return r.child.Resume() }

// Wipe removes the data on disk. The server must not be running.
func (r *Redis) Wipe() error {
	if !r.child.HasEnded() {
		return errors.New("wipe: the server is running")
	}
	var errs []error
	for _, name := range persisted {
		errs = append(errs, os.RemoveAll(filepath.Join(r.data, name)))
	}
	return errors.Join(errs...)
}
