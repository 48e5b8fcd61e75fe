package migrations

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/tactus-dev/tactus/internal/postgres"
)

//go:embed *.sql
var files embed.FS

// Up applies every migration that the database at url lacks, those included that are numbered before what it has. It
// may be called by several processes at once. say is told what keeps it waiting.
func Up(ctx context.Context, url string, say ...func(text string)) error {
	err := with(ctx, url, say, func(p *goose.Provider) error {
		_, err := p.Up(ctx)
		return postgres.WithDependents(err)
	})
	if err != nil {
		return err
	}
	conn, err := postgres.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("migrate: look at the schema: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	s, err := Look(ctx, conn)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if err := s.whole(); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// Ready reports whether the schema is there, in nobody else's hands, and whole and new enough for this program: N runs
// on N-1 too. A pool whose schema has come into other hands loses its connections, and gets no new ones.
func Ready(ctx context.Context, db Querier) error {
	s, err := Look(ctx, db)
	if pool, ok := db.(interface{ Reset() }); ok && errors.Is(err, postgres.ErrForeign) {
		pool.Reset()
	}
	if err != nil {
		return err
	}
	if len(s.Applied) == 0 {
		return s.ready()
	}
	if err := readable(s.encoding); err != nil {
		return err
	}
	return s.ready()
}

// lease is how long after the death of one that migrates another may go on. patience is how often the lock is asked
// for, 20 times in a lease: a migration of a large table may take that long.
const (
	lease    = 10 * time.Second
	patience = 20 * 6 * 60
)

func with(ctx context.Context, url string, say []func(string), do func(*goose.Provider) error) error {
	db, err := open(ctx, url, say)
	if err != nil {
		return err
	}
	defer db.Close()
	locker, err := lock.NewPostgresTableLocker(lock.WithTableName("tactus.migration_lock"),
		lock.WithTableLeaseDuration(lease), lock.WithTableHeartbeatInterval(lease/5), lock.WithTableLockTimeout(lease/20, patience))
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files,
		goose.WithLocker(locker), goose.WithTableName("tactus.migrations"), goose.WithDisableGlobalRegistry(true),
		goose.WithAllowOutofOrder(true)) // 0005 once landed before 0004
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if err := do(provider); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// open makes the schema first: every migration may then name it, the first one too.
// Statements are sent unprepared, which is what a pooler in transaction mode can carry.
func open(ctx context.Context, url string, say []func(string)) (*sql.DB, error) {
	db, err := postgres.OpenDB(url)
	if err != nil {
		return nil, fmt.Errorf("migrate: %w", err)
	}
	var encoding string
	if err := db.QueryRowContext(ctx, serverEncoding).Scan(&encoding); err != nil {
		return nil, fmt.Errorf("migrate: look at the database: %w", closeAfter(db, err))
	}
	if err := readable(encoding); err != nil {
		return nil, fmt.Errorf("migrate: %w", closeAfter(db, err))
	}
	if err := makeSchema(ctx, db, say); err != nil {
		return nil, fmt.Errorf("migrate: create schema: %w", closeAfter(db, err))
	}
	if _, err := postgres.Hands(func(sql string) interface{ Scan(...any) error } {
		return db.QueryRowContext(ctx, sql)
	}); err != nil {
		return nil, fmt.Errorf("migrate: %w", closeAfter(db, err))
	}
	return db, nil
}

const serverEncoding = `select current_setting('server_encoding')`

// readable refuses a database that cannot keep every character: a name, an argument or a result in it would be refused
// one by one, long after.
func readable(encoding string) error {
	if encoding == "UTF8" {
		return nil
	}
	return fmt.Errorf("the database's encoding is %s, and tactus needs UTF8: create another one, create database ... "+
		"encoding 'UTF8' template template0", encoding)
}

func closeAfter(db *sql.DB, err error) error {
	if cerr := db.Close(); cerr != nil {
		return fmt.Errorf("%w; close: %w", err, cerr)
	}
	return err
}

const superusers = `
select rolname from pg_roles where rolsuper and (rolname = current_user
    or oid in (select proowner from pg_proc where pronamespace = 'tactus'::regnamespace and prosecdef)) order by rolname = current_user desc limit 1`

// Superuser names a superuser with whose rights the functions of the schema run, or are made; none when all is as it
// should be.
func Superuser(ctx context.Context, url string) (name string, err error) {
	conn, err := postgres.Connect(ctx, url)
	if err != nil {
		return "", fmt.Errorf("look for superusers: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err = conn.QueryRow(ctx, superusers, pgx.QueryExecModeExec).Scan(&name); err != nil &&
		!errors.Is(err, pgx.ErrNoRows) {
		return "", fmt.Errorf("look for superusers: %w", err)
	}
	return name, nil
}
