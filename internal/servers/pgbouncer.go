package servers

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
)

// PgBouncer is a pooler in transaction mode in front of a PostgreSQL server. A client has a server connection for one
// transaction at a time, so nothing may depend on session state.
type PgBouncer struct {
	cfg    Config
	binary binary
	server *pgx.ConnConfig
	port   int
	child  *Child
}

// StartPgBouncer starts a pooler in front of the server of a URL, for the URL's user.
func StartPgBouncer(ctx context.Context, serverURL string, cfg Config) (*PgBouncer, error) {
	program, err := pgBouncerProgram.find(ctx, cfg)
	if err != nil {
		return nil, err
	}
	server, err := pgx.ParseConfig(serverURL)
	if err != nil {
		return nil, fmt.Errorf("pool a server: %w", err)
	}
	b := &PgBouncer{cfg: cfg, binary: program, server: server}
	return b, cfg.onFreePort(func(listen int) error {
		b.port = listen
		if err := b.configure(); err != nil {
			return err
		}
		return b.Start(ctx)
	})
}

func (b *PgBouncer) configure() error {
	if err := OwnDir(b.cfg.Dir); err != nil {
		return fmt.Errorf("prepare %s: %w", b.cfg.Dir, err)
	}
	// A process that is stopped in the middle of a transaction keeps its connection, and tests stop many processes. The
	// pool is larger than all tests that run at once need, and smaller than PostgreSQL's limit.
	var ini strings.Builder
	fmt.Fprintf(&ini, `[databases]
* = host=%s port=%d
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = scram-sha-256
auth_file = %s
pool_mode = transaction
default_pool_size = 40
max_client_conn = 1000
server_lifetime = 60
ignore_startup_parameters = extra_float_digits
`, b.server.Host, b.server.Port, b.port, b.users())
	for name, value := range b.cfg.Settings {
		ini.WriteString(name + " = " + value + "\n")
	}
	err := hand(b.users(), fmt.Sprintf("%q %q\n", b.server.User, b.server.Password))
	if err == nil {
		err = hand(b.ini(), ini.String())
	}
	if err != nil {
		return fmt.Errorf("configure PgBouncer: %w", err)
	}
	return nil
}

func (b *PgBouncer) ini() string { return filepath.Join(b.cfg.Dir, "pgbouncer.ini") }

func (b *PgBouncer) users() string { return filepath.Join(b.cfg.Dir, "users.txt") }

// Start starts the pooler again, on the same port, after it has ended.
func (b *PgBouncer) Start(ctx context.Context) error {
	log, err := b.cfg.openLog("pgbouncer.log")
	if err != nil {
		return err
	}
	defer log.Close() // the child has a descriptor of its own
	began, err := endOf(log)
	if err != nil {
		return err
	}
	if b.child, err = start(b.binary, log, b.ini()); err != nil {
		return err
	}
	return b.cfg.awaitLogged(ctx, b.child, "PgBouncer", "pgbouncer.log", began, fmt.Sprintf("listening on 127.0.0.1:%d", b.port), b.answers)
}

func (b *PgBouncer) answers(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, b.URL("postgres")+"&require_auth=scram-sha-256")
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// URL returns the URL of a database, through the pooler.
func (b *PgBouncer) URL(database string) string {
	return fmt.Sprintf("postgres://%s:%s@127.0.0.1:%d/%s?sslmode=disable", b.server.User, b.server.Password, b.port,
		database)
}

// Ended returns a channel that is closed when the pooler has ended.
func (b *PgBouncer) Ended() <-chan struct{} { return b.child.Ended() }

// Stop ends the pooler.
func (b *PgBouncer) Stop(ctx context.Context) error { return b.child.Stop(ctx, syscall.SIGINT) }
