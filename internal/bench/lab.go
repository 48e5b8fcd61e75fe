package bench

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/servers"
	"github.com/tactus-dev/tactus/migrations"
	"github.com/tactus-dev/tactus/outbox"
)

// Config says where and how thoroughly to measure.
type Config struct {
	DatabaseURL string       // of a server on which databases can be made; ours unless given
	RedisURL    string       // of an empty database; ours unless given
	Quick       bool         // one small round
	Say         func(string) // told what goes on; may be nil
}

// Lab is the servers that sections measure on.
type Lab struct {
	cfg      Config
	dir      string // of our servers
	postgres *servers.Postgres
	redis    *servers.Redis
	client   goredis.UniversalClient
}

// Open brings up the servers that the configuration does not name, durable as in production: commits reach the disk.
func Open(ctx context.Context, cfg Config) (*Lab, error) {
	l := &Lab{cfg: cfg}
	if err := l.open(ctx); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func (l *Lab) open(ctx context.Context) (err error) {
	if l.dir, err = os.MkdirTemp("", "tactus-bench-"); err != nil {
		return fmt.Errorf("make a folder for servers: %w", err)
	}
	if err := servers.OwnDir(l.dir); err != nil {
		return err
	}
	if l.cfg.DatabaseURL == "" {
		if l.postgres, err = servers.StartPostgres(ctx, l.serverConfig("postgres")); err != nil {
			return err
		}
		l.cfg.DatabaseURL = l.postgres.URL("postgres")
	}
	if l.cfg.RedisURL == "" {
		if l.redis, err = servers.StartRedis(ctx, l.serverConfig("redis")); err != nil {
			return err
		}
		l.cfg.RedisURL = l.redis.URL(0)
	}
	goredis.SetLogger(silent{}) // of what fails on purpose we need not hear
	if l.client, err = redis.Connect(l.cfg.RedisURL); err != nil {
		return err
	}
	return l.mustBeEmpty(ctx)
}

// silent is a logger of go-redis.
type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

func (l *Lab) serverConfig(name string) servers.Config {
	l.Say("starting " + name)
	cfg := servers.Config{Dir: filepath.Join(l.dir, name), Durable: true, Log: l.Say}
	if name == "redis" {
		cfg.Settings = map[string]string{"auto-aof-rewrite-percentage": "0"} // in the middle of a round it would count as ours
	}
	return cfg
}

// mustBeEmpty keeps us from emptying somebody's Redis.
func (l *Lab) mustBeEmpty(ctx context.Context) error {
	keys, err := l.client.DBSize(ctx).Result()
	if err != nil {
		return fmt.Errorf("speak to Redis: %w", err)
	}
	if keys > 0 {
		return fmt.Errorf("the Redis database has %d keys, and would be emptied: name an empty one, such as redis://host:port/9", keys)
	}
	return nil
}

const closeTimeout = 30 * time.Second

// Close stops our servers, and leaves those of others as they were.
func (l *Lab) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	var errs []error
	if l.client != nil {
		errs = append(errs, l.client.Close())
	}
	if l.postgres != nil {
		errs = append(errs, l.postgres.Stop(ctx))
	}
	if l.redis != nil {
		errs = append(errs, l.redis.Stop(ctx))
	}
	return errors.Join(append(errs, os.RemoveAll(l.dir))...)
}

// Say tells what goes on.
func (l *Lab) Say(text string) {
	if l.cfg.Say != nil {
		l.cfg.Say(text)
	}
}

// Rounds is how often to measure.
func (l *Lab) Rounds() int {
	if l.cfg.Quick {
		return 1
	}
	return rounds
}

// Size is n, or when it is to be quick a fiftieth of it.
func (l *Lab) Size(n int) int {
	if l.cfg.Quick {
		return max(1, n/50)
	}
	return n
}

// Database makes a migrated database. Call drop when it is done with.
func (l *Lab) Database(ctx context.Context) (pool *pgxpool.Pool, drop func() error, err error) {
	name := "tactus_bench_" + outbox.NewID().String()
	quoted := pgx.Identifier{name}.Sanitize()
	if err := l.admin(ctx, "create database "+quoted); err != nil {
		return nil, nil, err
	}
	drop = func() error {
		if pool != nil {
			pool.Close()
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		return l.admin(ctx, "drop database "+quoted+" with (force)")
	}
	if pool, err = connect(ctx, inDatabase(l.cfg.DatabaseURL, name)); err != nil {
		return nil, nil, errors.Join(err, drop())
	}
	return pool, drop, nil
}

// connections is how many a pool may have.
const connections = 64

func connect(ctx context.Context, url string) (*pgxpool.Pool, error) {
	if err := migrations.Up(ctx, url); err != nil {
		return nil, err
	}
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	cfg.MaxConns = connections
	return pgxpool.NewWithConfig(ctx, cfg)
}

// inDatabase names another database of a server, whichever way the URL is written.
func inDatabase(dsn, name string) string {
	if u, err := url.Parse(dsn); err == nil && u.Scheme != "" {
		u.Path = "/" + name
		return u.String()
	}
	return dsn + " dbname=" + name
}

func (l *Lab) admin(ctx context.Context, sql string) error {
	conn, err := pgx.Connect(ctx, l.cfg.DatabaseURL)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, sql); err != nil {
		return fmt.Errorf("%.40s...: %w", sql, err)
	}
	return nil
}

// Redis gives the Redis database, emptied.
func (l *Lab) Redis(ctx context.Context) (goredis.UniversalClient, error) {
	if err := l.client.FlushDB(ctx).Err(); err != nil {
		return nil, fmt.Errorf("empty Redis: %w", err)
	}
	return l.client, nil
}
