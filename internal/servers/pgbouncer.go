package servers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/jackc/pgx/v5"
)

// PgBouncer is a pooler in transaction mode in front of a PostgreSQL server: a session lasts one transaction, so
// nothing may rely on session state.
type PgBouncer struct {
	cfg    Config
	binary binary
	port   int
	child  *Child
}

// StartPgBouncer starts a pooler in front of a server on host and port.
func StartPgBouncer(ctx context.Context, host string, port uint16, cfg Config) (*PgBouncer, error) {
	program, err := pgBouncerProgram.find(ctx, cfg)
	if err != nil {
		return nil, err
	}
	b := &PgBouncer{cfg: cfg, binary: program}
	return b, cfg.onFreePort(func(listen int) error {
		b.port = listen
		if err := b.configure(host, port); err != nil {
			return err
		}
		return b.Start(ctx)
	})
}

func (b *PgBouncer) configure(host string, port uint16) error {
	if err := own(b.cfg.Dir); err != nil {
		return fmt.Errorf("prepare %s: %w", b.cfg.Dir, err)
	}
	// A process that is stopped in the middle of a transaction keeps its connection, and tests stop many: there are more
	// than all that run can need, and less than PostgreSQL takes for the databases that are in use at once.
	ini := fmt.Sprintf(`[databases]
* = host=%s port=%d user=tactus
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 40
max_client_conn = 1000
server_lifetime = 60
ignore_startup_parameters = extra_float_digits
`, host, port, b.port)
	if err := os.WriteFile(b.ini(), []byte(ini), 0o644); err != nil {
		return fmt.Errorf("configure PgBouncer: %w", err)
	}
	return nil
}

func (b *PgBouncer) ini() string { return filepath.Join(b.cfg.Dir, "pgbouncer.ini") }

// Start starts the pooler again on the same port, after it has ended.
func (b *PgBouncer) Start(ctx context.Context) error {
	log, err := b.cfg.openLog("pgbouncer.log")
	if err != nil {
		return err
	}
	defer log.Close() // the child has its own
	if b.child, err = start(b.binary, log, b.ini()); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := b.child.await(ctx, b.answers); err != nil {
		return errors.Join(fmt.Errorf("start PgBouncer: %w; its log: %s", err, tail(filepath.Join(b.cfg.Dir, "pgbouncer.log"))), b.child.Kill())
	}
	return nil
}

func (b *PgBouncer) answers(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, b.URL("postgres"))
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// URL names a database, reached through the pooler. pgx is told not to keep prepared statements in a session.
func (b *PgBouncer) URL(database string) string {
	return fmt.Sprintf("postgres://tactus@127.0.0.1:%d/%s?sslmode=disable&default_query_exec_mode=exec", b.port, database)
}

// Ended is closed when the pooler has ended.
func (b *PgBouncer) Ended() <-chan struct{} { return b.child.Ended() }

// Stop ends the pooler.
func (b *PgBouncer) Stop(ctx context.Context) error { return b.child.Stop(ctx, syscall.SIGINT) }
