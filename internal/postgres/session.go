package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
)

// session knows whose sessions connections get: the server's own, or a pooler's. A pooler in transaction mode gives
// each transaction another one, in which the statements that pgx has prepared and remembers are not there.
type session struct {
	ours     bool              // it runs statements of ours
	looks    bool              // and runs none in a schema in which somebody else has a hand
	prepares bool              // statements are prepared, unless there is a pooler
	said     map[string]string // settings that the URL has
	waits    time.Duration     // for a lock, at most; 0 for as long as it takes
	file     string            // from which the URL came, or none

	asked, pooled atomic.Bool
}

// before is called with the configuration of each connection. The first one is preceded by another, which finds out.
func (s *session) before(ctx context.Context, config *pgx.ConnConfig) error {
	if s.ours {
		config.RuntimeParams = with(followed, s.said)
	}
	if err := renew(config, s.file); err != nil {
		return err
	}
	if !s.asked.Load() {
		if err := s.ask(ctx, config.Copy()); err != nil {
			return err
		}
	}
	if s.prepares && s.pooled.Load() {
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

// after finishes a connection. It refuses one that would set or prepare something in the sessions of a pooler, which
// has come between since the first one. The next is opened without.
func (s *session) after(ctx context.Context, conn *pgx.Conn) error {
	// Where no statement is described before it is sent, as behind a pooler, the driver goes by the types of Go.
	conn.TypeMap().RegisterDefaultPgType(domain.ID{}, "uuid")
	conn.TypeMap().RegisterDefaultPgType([]domain.ID(nil), "_uuid")
	registerTimes(conn.TypeMap())
	if !s.pooled.Load() {
		pooled, err := throughPooler(ctx, conn)
		if err != nil {
			return err
		}
		if pooled {
			s.pooled.Store(true)
			return errors.New("a pooler has come between tactus and PostgreSQL: try again")
		}
	}
	var err error
	switch {
	case !s.ours:
		return nil
	case s.pooled.Load():
		err = check(ctx, conn)
	default:
		err = set(ctx, conn, s.settings(), s.said)
	}
	if err == nil && s.looks {
		err = inOwnHands(ctx, conn)
	}
	return err
}

// settings returns what is set where the URL does not say otherwise.
func (s *session) settings() map[string]string {
	if s.waits == 0 {
		return own
	}
	return with(own, map[string]string{"lock_timeout": strconv.FormatInt(s.waits.Milliseconds(), 10)})
}

// throughPooler reports whether a pooler answers: it names a process of its own making when a connection begins,
// because the server's process changes from transaction to transaction.
func throughPooler(ctx context.Context, conn *pgx.Conn) (bool, error) {
	var pid uint32
	if err := conn.QueryRow(ctx, "select pg_catalog.pg_backend_pid()", pgx.QueryExecModeExec).Scan(&pid); err != nil {
		return false, fmt.Errorf("ask for the server's process: %w", err)
	}
	return pid != conn.PgConn().PID(), nil
}
