package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/tactus-dev/tactus/internal/renewed"
)

// Open returns a pool for statements of ours on the schema tactus. It connects when it is used, and has no connection
// to a database in whose schema somebody else has a hand: their code would run with the rights of this process, by
// whatever statement. Requests take their callers' turns at its connections (shares.Turns).
func Open(ctx context.Context, url string) (*pgxpool.Pool, error) {
	return open(ctx, url, &session{ours: true, looks: true}, func(c *pgxpool.Config) { c.ConnConfig.Tracer = turns{} })
}

// OpenBounded is Open for who does one thing after another: no statement waits for a lock for longer, unless it says so
// itself. It is the session that has the bound: a statement that names a table which somebody has locked waits while it
// is planned, when nothing that it sets itself is in force yet. Sessions of a pooler have none.
func OpenBounded(ctx context.Context, url string, longest time.Duration) (*pgxpool.Pool, error) {
	return open(ctx, url, &session{ours: true, looks: true, waits: longest})
}

// OpenPlain returns a pool for statements of others, who decide on their settings themselves: it only notices a pooler.
func OpenPlain(ctx context.Context, url string) (*pgxpool.Pool, error) {
	return open(ctx, url, &session{})
}

// OpenOne is Open with one connection at most, whatever the URL says of the size of pools.
func OpenOne(ctx context.Context, url string) (*pgxpool.Pool, error) {
	return open(ctx, url, &session{ours: true, looks: true}, func(c *pgxpool.Config) {
		c.MaxConns, c.MinConns, c.MinIdleConns = 1, 0, 0
	})
}

func open(ctx context.Context, url string, s *session, also ...func(*pgxpool.Config)) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	for _, change := range also {
		change(config)
	}
	s.prepares, s.said, s.file = !strings.Contains(url, saysHow), config.ConnConfig.RuntimeParams, renewed.PathOf(url)
	if s.ours || s.prepares {
		config.BeforeConnect, config.AfterConnect = s.before, s.after
	}
	return pgxpool.NewWithConfig(ctx, config)
}

// saysHow is what a URL has that decides how statements are sent.
const saysHow = "default_query_exec_mode"

// Connect opens one connection for statements of ours.
func Connect(ctx context.Context, url string) (*pgx.Conn, error) {
	config, err := parse(url)
	if err != nil {
		return nil, err
	}
	said := config.RuntimeParams
	config.RuntimeParams = with(followed, said)
	if err := renew(config, renewed.PathOf(url)); err != nil {
		return nil, err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	pooled, err := throughPooler(ctx, conn)
	if err == nil && !pooled {
		err = set(ctx, conn, own, said)
	}
	if err != nil {
		_ = conn.Close(context.WithoutCancel(ctx))
		return nil, err
	}
	return conn, nil
}

// OpenDB is Open for who speaks database/sql. Every statement is sent unprepared.
func OpenDB(url string) (*sql.DB, error) {
	config, err := parse(url)
	if err != nil {
		return nil, err
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	s := session{ours: true, said: config.RuntimeParams, file: renewed.PathOf(url)}
	return stdlib.OpenDB(*config, stdlib.OptionBeforeConnect(s.before), stdlib.OptionAfterConnect(s.after)), nil
}

// renew gives a connection the user and the password that the file of the setting has now.
func renew(config *pgx.ConnConfig, file string) error {
	if file == "" {
		return nil
	}
	text, err := renewed.Read(file)
	if err != nil {
		return err
	}
	now, err := parse(text)
	if err != nil { // which quotes the text
		return fmt.Errorf("%s has no address of a PostgreSQL any more", file)
	}
	config.User, config.Password = now.User, now.Password
	return nil
}

// parse reads the URL of one connection. What it says of pools (pool_max_conns) is not sent to the server, which would
// refuse the connection: one URL serves the processes and the commands.
func parse(url string) (*pgx.ConnConfig, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	return config.ConnConfig, nil
}
