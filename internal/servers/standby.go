package servers

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5"
)

// StartStandby copies the server of a URL with pg_basebackup, and starts the copy as a hot standby of that server. It
// replicates through the same URL, so that a proxy in the URL can make it lag.
func StartStandby(ctx context.Context, primary string, cfg Config) (*Postgres, error) {
	program, err := postgresProgram.find(ctx, cfg)
	if err != nil {
		return nil, err
	}
	from, err := pgx.ParseConfig(primary)
	if err != nil {
		return nil, fmt.Errorf("copy a server: %w", err)
	}
	p := &Postgres{cfg: cfg, binary: program, secret: from.Password}
	if _, err := cfg.dataDir(); err != nil {
		return nil, err
	}
	at := fmt.Sprintf("host=%s port=%d user=%s", from.Host, from.Port, from.User)
	if err := p.run(ctx, "pg_basebackup", "-D", p.data(), "-d", at, "-X", "stream", "-R", "--checkpoint=fast",
		"--no-sync"); err != nil {
		return nil, err
	}
	return p, cfg.onFreePort(func(port int) error {
		p.port = port
		return p.Start(ctx)
	})
}

// Promote makes a standby a primary, on a new timeline. What it has not received is lost.
func (p *Postgres) Promote(ctx context.Context) error {
	conn, err := p.connect(ctx, "postgres")
	if err != nil {
		return fmt.Errorf("promote: %w", err)
	}
	defer conn.Close(ctx)
	var promoted bool
	if err := conn.QueryRow(ctx, "select pg_promote(true, 90)").Scan(&promoted); err != nil || !promoted {
		return fmt.Errorf("promote: promoted: %v, %w", promoted, err)
	}
	return nil
}

// Dump writes a database to a file with pg_dump, and returns a function that restores the file into a database of the
// same name, on any server.
func (p *Postgres) Dump(
	ctx context.Context, database string,
) (restore func(ctx context.Context, to *Postgres) error, err error) {
	dir, err := os.MkdirTemp(p.cfg.Dir, "dump-")
	if err == nil {
		err = give(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("prepare a dump: %w", err)
	}
	file := filepath.Join(dir, database+".dump")
	if err := p.run(ctx, "pg_dump", "-Fc", "-f", file, "-d", p.urlOf(superuser, "", database)); err != nil {
		return nil, err
	}
	return func(ctx context.Context, to *Postgres) error {
		if err := to.CreateDatabase(ctx, database); err != nil {
			return err
		}
		return to.run(ctx, "pg_restore", "--exit-on-error", "-d", to.urlOf(superuser, "", database), file)
	}, nil
}

// run runs a program of the server's package as the superuser. Every user can see arguments, so the password is in the
// environment.
func (p *Postgres) run(ctx context.Context, name string, args ...string) error {
	cmd := p.binary.sibling(name).command(ctx, args...)
	cmd.Env = append(cmd.Env, "PGPASSWORD="+p.secret)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, bytes.TrimSpace(out))
	}
	return nil
}
