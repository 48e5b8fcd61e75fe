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
	DatabaseURL string       // a server on which databases can be created; a server of our own if empty
	RedisURL    string       // an empty database; a server of our own if empty
	Quick       bool         // run one small round only
	Schedules   int          // in the database whose endpoints are asked; as many as the constant says unless given
	Runs        int          // in all, there
	Say         func(string) // called with progress messages; may be nil
}

// Lab holds the servers that sections measure on.
type Lab struct {
	cfg      Config
	dir      string // the folder of our own servers
	postgres *servers.Postgres
	redis    *servers.Redis
	client   goredis.UniversalClient
}

// Open starts the servers that the configuration does not name. They are durable, as in production: commits reach the
// disk.
func Open(ctx context.Context, cfg Config) (*Lab, error) {
	l := &Lab{cfg: cfg}
	if err := l.open(ctx); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func (l *Lab) open(ctx context.Context) (err error) {
	if l.dir, err = os.MkdirTemp("", "tactus-bench-"); err != nil {
		return fmt.Errorf("create a folder for the servers: %w", err)
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
	goredis.SetLogger(silent{}) // some commands fail on purpose
	if l.client, err = redis.Connect(l.cfg.RedisURL); err != nil {
		return err
	}
	return l.mustBeEmpty(ctx)
}

// silent is a logger for go-redis that discards everything.
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

// mustBeEmpty returns an error unless the Redis database is empty, because the bench empties it.
func (l *Lab) mustBeEmpty(ctx context.Context) error {
	keys, err := l.client.DBSize(ctx).Result()
	if err != nil {
		return fmt.Errorf("connect to Redis: %w", err)
	}
	if keys > 0 {
		return fmt.Errorf("the Redis database has %d keys, and would be emptied: name an empty one, such as redis://host:port/9", keys)
	}
	return nil
}

const closeTimeout = 30 * time.Second

// Close stops our servers, and leaves those of others unchanged.
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

// Say reports progress.
func (l *Lab) Say(text string) {
	if l.cfg.Say != nil {
		l.cfg.Say(text)
	}
}

// Rounds returns the number of rounds.
func (l *Lab) Rounds() int {
	if l.cfg.Quick {
		return 1
	}
	return rounds
}

// Size returns n, or a fiftieth of n in quick mode.
func (l *Lab) Size(n int) int {
	if l.cfg.Quick {
		return max(1, n/50)
	}
	return n
}

// Database creates a migrated database. The caller must call drop when it no longer needs the database.
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

// connections is the limit of a pool's connections.
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

// inDatabase returns the URL of another database of a server, for both forms of connection strings.
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

// Redis returns a client of the Redis database, which it empties first.
func (l *Lab) Redis(ctx context.Context) (goredis.UniversalClient, error) {
	if err := l.client.FlushDB(ctx).Err(); err != nil {
		return nil, fmt.Errorf("empty Redis: %w", err)
	}
	return l.client, nil
}
