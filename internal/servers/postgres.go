package servers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// startTimeout is how long a server may take to be ready, recovery after a crash included.
const startTimeout = 2 * time.Minute

// Postgres is a PostgreSQL server of ours. Its superuser is tactus, with a password, from this machine only.
type Postgres struct {
	cfg    Config
	binary binary
	secret string // the superuser's password
	port   int
	limit  int64 // of its files' sizes, in units of 512 bytes
	child  *Child
}

// StartPostgres starts a server on the data in cfg.Dir, which is made when it is empty.
func StartPostgres(ctx context.Context, cfg Config) (*Postgres, error) {
	program, err := postgresProgram.find(ctx, cfg)
	if err != nil {
		return nil, err
	}
	p := &Postgres{cfg: cfg, binary: program}
	if err := p.init(ctx); err != nil {
		return nil, err
	}
	return p, cfg.onFreePort(func(port int) error {
		p.port = port
		return p.Start(ctx)
	})
}

func (p *Postgres) data() string { return filepath.Join(p.cfg.Dir, "data") }

func (p *Postgres) init(ctx context.Context) error {
	if _, err := p.cfg.dataDir(); err != nil {
		return err
	}
	secret, isNew, err := p.cfg.secret()
	if err != nil {
		return err
	}
	p.secret = secret
	_, err = os.Stat(filepath.Join(p.data(), "PG_VERSION"))
	switch there := err == nil; {
	case there && isNew:
		err = p.setPassword(ctx)
	case !there:
		err = p.initdb(ctx)
	}
	if err == nil && isNew {
		err = p.cfg.keep(secret)
	}
	return err
}

func (p *Postgres) initdb(ctx context.Context) error {
	p.cfg.mention("preparing PostgreSQL in " + p.data())
	password := filepath.Join(p.cfg.Dir, "initdb.password")
	if err := hand(password, p.secret+"\n"); err != nil {
		return fmt.Errorf("initdb: %w", err)
	}
	err := p.run(ctx, "initdb", "-D", p.data(), "-U", superuser, "-A", "scram-sha-256", "--pwfile", password, "-E", "UTF8", "--locale=C", "--no-sync")
	return errors.Join(err, os.Remove(password))
}

const superuser = "tactus"

// setPassword gives the superuser its password in data of a version that knew of none, while no server runs on them.
func (p *Postgres) setPassword(ctx context.Context) error {
	cmd := p.binary.command(ctx, "--single", "-c", "password_encryption=scram-sha-256", "-D", p.data(), "postgres")
	cmd.Stdin = strings.NewReader(fmt.Sprintf("alter role %s password '%s'\n", superuser, p.secret))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("set the password of PostgreSQL's superuser: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

// access is who may connect (pg_hba.conf): whoever has a password, and the system itself trusts nobody.
const access = `host all all 127.0.0.1/32 scram-sha-256
host replication all 127.0.0.1/32 scram-sha-256
`

func (p *Postgres) accessFile() string { return filepath.Join(p.cfg.Dir, "pg_hba.conf") }

// Start starts the server again on the same port and data, after Stop or Kill. Processes of a killed server may live
// on for a moment, and no other starts on their data until they have ended.
func (p *Postgres) Start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		err := p.startOnce(ctx)
		if err == nil || ctx.Err() != nil || !strings.Contains(err.Error(), leftOver) {
			return err
		}
	}
}

// leftOver is the last that PostgreSQL logs when it finds processes of a killed one.
const leftOver = "Terminate any old server processes associated with data directory"

func (p *Postgres) startOnce(ctx context.Context) error {
	log, err := p.cfg.openLog("postgres.log")
	if err != nil {
		return err
	}
	defer log.Close() // the child has its own
	if err := hand(p.accessFile(), access); err != nil {
		return fmt.Errorf("configure PostgreSQL: %w", err)
	}
	program, args := p.binary, p.arguments()
	if p.limit > 0 {
		args = append([]string{"-c", fmt.Sprintf(`ulimit -S -f %d && exec "$0" "$@"`, p.limit), program.path}, args...)
		program.path = "/bin/sh"
	}
	if p.child, err = start(program, log, args...); err != nil {
		return err
	}
	if err := p.child.await(ctx, p.answers); err != nil {
		return errors.Join(fmt.Errorf("start PostgreSQL: %w; its log: %s", err, tail(filepath.Join(p.cfg.Dir, "postgres.log"))), p.child.Kill())
	}
	return nil
}

func (p *Postgres) arguments() []string {
	settings := map[string]string{
		"listen_addresses": "127.0.0.1", "port": fmt.Sprint(p.port), "unix_socket_directories": "",
		"hba_file": p.accessFile(), "password_encryption": "scram-sha-256",
		"timezone": "UTC", "log_timezone": "UTC", "wal_level": "replica", "max_connections": "300",
		"max_prepared_transactions": "20", "shared_buffers": "64MB",
	}
	if !p.cfg.Durable {
		maps.Copy(settings, map[string]string{"fsync": "off", "full_page_writes": "off", "max_wal_size": "256MB"})
	}
	maps.Copy(settings, p.cfg.Settings)
	args := []string{"-D", p.data()}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		args = append(args, "-c", name+"="+settings[name])
	}
	return args
}

// LimitFiles has the next Start forbid files to grow beyond a size; 0 allows any. When that is not a multiple of a page
// (8 KiB), what PostgreSQL meets at the limit is what it meets when a disk is full.
func (p *Postgres) LimitFiles(bytes int64) { p.limit = bytes / 512 }

// answers also makes sure that it is our server that answers on the port.
func (p *Postgres) answers(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, p.URL("postgres"))
	if err != nil {
		return err
	}
	var data string
	return errors.Join(conn.QueryRow(ctx, "select current_setting('data_directory')").Scan(&data), conn.Close(ctx), differs(data, p.data()))
}

func differs(got, want string) error {
	if got != want {
		return fmt.Errorf("another server has the port: its data is in %s", got)
	}
	return nil
}

// URL names a database of the server, as its superuser reaches it.
func (p *Postgres) URL(database string) string { return p.urlOf(superuser, p.secret, database) }

func (p *Postgres) urlOf(user, password, database string) string {
	return fmt.Sprintf("postgres://%s:%s@127.0.0.1:%d/%s?sslmode=disable", user, password, p.port, database)
}

// CreateDatabase makes a database unless it is there.
func (p *Postgres) CreateDatabase(ctx context.Context, name string) error {
	conn, err := pgx.Connect(ctx, p.URL("postgres"))
	if err != nil {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	defer conn.Close(ctx)
	var there bool
	if err := conn.QueryRow(ctx, "select exists (select from pg_database where datname = $1)", name).Scan(&there); err != nil || there {
		return err
	}
	if _, err := conn.Exec(ctx, "create database "+pgx.Identifier{name}.Sanitize()); err != nil {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	return nil
}

// PID is the process id of the postmaster.
func (p *Postgres) PID() int { return p.child.PID() }

// Ended is closed when the server has ended.
func (p *Postgres) Ended() <-chan struct{} { return p.child.Ended() }

// Stop shuts down cleanly, ending the sessions there are.
func (p *Postgres) Stop(ctx context.Context) error { return p.child.Stop(ctx, syscall.SIGINT) }

// Kill crashes the server: what was not flushed is lost, and the next Start recovers.
func (p *Postgres) Kill() error { return p.child.Kill() }

// tail is the end of a log, for an error message.
func tail(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], " | ")
}
