package outbox

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Connect opens a pool of connections, as pgxpool.New does, that also works through a pooler such as PgBouncer in
// transaction mode. Such a pooler gives each transaction another server session, in which the statements that pgx
// prepared and remembers are not there, so behind a pooler none are prepared. A default_query_exec_mode in the URL
// decides otherwise. The pool opens its connections when they are needed.
func Connect(ctx context.Context, url string) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	if !strings.Contains(url, "default_query_exec_mode") {
		var s session
		config.BeforeConnect, config.AfterConnect = s.before, s.after
	}
	return pgxpool.NewWithConfig(ctx, config)
}

// session knows whose sessions the connections of a pool get: the server's own, or a pooler's.
type session struct{ asked, pooled atomic.Bool }

// before is called with the configuration of each connection. The first one is preceded by another, which finds out.
func (s *session) before(ctx context.Context, config *pgx.ConnConfig) error {
	if !s.asked.Load() {
		if err := s.ask(ctx, config.Copy()); err != nil {
			return err
		}
	}
	if s.pooled.Load() {
		config.DefaultQueryExecMode = pgx.QueryExecModeExec
	}
	return nil
}

func (s *session) ask(ctx context.Context, config *pgx.ConnConfig) error {
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	pooled, err := throughPooler(ctx, conn)
	if err == nil {
		s.pooled.Store(pooled)
		s.asked.Store(true)
	}
	return errors.Join(err, conn.Close(ctx))
}

// after refuses a connection that prepares statements in the sessions of a pooler, which has come between since the
// first one. The next is opened without.
func (s *session) after(ctx context.Context, conn *pgx.Conn) error {
	if s.pooled.Load() {
		return nil
	}
	pooled, err := throughPooler(ctx, conn)
	if pooled {
		s.pooled.Store(true)
		err = errors.New("a pooler has come between tactus and PostgreSQL: try again")
	}
	return err
}

// throughPooler reports whether a pooler answers: it names a process of its own making when a connection begins,
// because the server's process changes from transaction to transaction.
func throughPooler(ctx context.Context, conn *pgx.Conn) (bool, error) {
	var pid uint32
	if err := conn.QueryRow(ctx, "select pg_backend_pid()", pgx.QueryExecModeExec).Scan(&pid); err != nil {
		return false, fmt.Errorf("ask for the server's process: %w", err)
	}
	return pid != conn.PgConn().PID(), nil
}
