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
		return b.start(ctx, host, port)
	})
}

func (b *PgBouncer) start(ctx context.Context, host string, port uint16) error {
	log, err := b.cfg.openLog("pgbouncer.log")
	if err != nil {
		return err
	}
	defer log.Close() // the child has its own
	ini := fmt.Sprintf(`[databases]
* = host=%s port=%d user=tactus
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 20
max_client_conn = 1000
server_lifetime = 60
ignore_startup_parameters = extra_float_digits
`, host, port, b.port)
	path := filepath.Join(b.cfg.Dir, "pgbouncer.ini")
	if err := os.WriteFile(path, []byte(ini), 0o644); err != nil {
		return fmt.Errorf("configure PgBouncer: %w", err)
	}
	if b.child, err = start(b.binary, log, path); err != nil {
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

// Stop ends the pooler.
func (b *PgBouncer) Stop(ctx context.Context) error { return b.child.Stop(ctx, syscall.SIGINT) }
