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

// startTimeout is how long a server may take to be ready, including recovery after a crash.
const startTimeout = 2 * time.Minute

// Postgres is a PostgreSQL server that we run. Its superuser is tactus, who connects with a password from this machine
// only.
type Postgres struct {
	cfg    Config
	binary binary
	secret string // the superuser's password
	port   int
	limit  int64 // the largest size of its files, in units of 512 bytes; 0 for no limit
	child  *Child
}

// StartPostgres starts a server on the data in cfg.Dir. It initializes an empty folder first.
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
	there, err := p.fitData(ctx)
	switch {
	case err != nil:
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
	err := p.run(ctx, "initdb", "-D", p.data(), "-U", superuser, "-A", "scram-sha-256", "--pwfile", password, "-E",
		"UTF8", "--locale=C", "--no-sync")
	return errors.Join(err, os.Remove(password))
}

const superuser = "tactus"

// setPassword sets the superuser's password in data of a version without passwords. No server may run on the data.
func (p *Postgres) setPassword(ctx context.Context) error {
	cmd := p.binary.command(ctx, "--single", "-c", "password_encryption=scram-sha-256", "-D", p.data(), "postgres")
	cmd.Stdin = strings.NewReader(fmt.Sprintf("alter role %s password '%s'\n", superuser, p.secret))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("set the password of PostgreSQL's superuser: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

// access says who may connect (pg_hba.conf): whoever has a password. No connection is trusted without one.
const access = `host all all 127.0.0.1/32 scram-sha-256
host replication all 127.0.0.1/32 scram-sha-256
`

func (p *Postgres) accessFile() string { return filepath.Join(p.cfg.Dir, "pg_hba.conf") }

// Start starts the server again, on the same port and data, after Stop or Kill. Processes of a killed server may live
// on for a moment, and no other server can start on the data until they have ended.
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

// leftOver is the last line that PostgreSQL logs when it finds processes of a killed server.
const leftOver = "Terminate any old server processes associated with data directory"

func (p *Postgres) startOnce(ctx context.Context) error {
	log, err := p.cfg.openLog("postgres.log")
	if err != nil {
		return err
	}
	defer log.Close() // the child has a descriptor of its own
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
		return errors.Join(fmt.Errorf("start PostgreSQL: %w; its log: %s", err,
			tail(filepath.Join(p.cfg.Dir, "postgres.log"))), p.child.Kill())
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
	if p.cfg.Durable { // tactus dev and the bench: what a small server has
		maps.Copy(settings, map[string]string{"shared_buffers": "256MB", "max_wal_size": "2GB"})
	} else {
		maps.Copy(settings, map[string]string{"fsync": "off", "full_page_writes": "off", "max_wal_size": "256MB"})
	}
	maps.Copy(settings, p.cfg.Settings)
	args := []string{"-D", p.data()}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		args = append(args, "-c", name+"="+settings[name])
	}
	return args
}

// LimitFiles makes the next Start limit the size of the server's files, in bytes; 0 is no limit. With a limit that is
// not a multiple of a page (8 KiB), PostgreSQL meets at the limit the same error as on a full disk.
func (p *Postgres) LimitFiles(bytes int64) { p.limit = bytes / 512 }

// answers connects, and also checks that the server on the port is ours.
func (p *Postgres) answers(ctx context.Context) error {
	if err := p.listens(); err != nil {
		return err
	}
	conn, err := p.connect(ctx, "postgres")
	if err != nil {
		return err
	}
	var data string
	return errors.Join(conn.QueryRow(ctx, "select current_setting('data_directory')").Scan(&data), conn.Close(ctx),
		differs(data, p.data()))
}

// listens returns an error until the server has the port. Before, another process may listen there, and would be told
// the password. The server writes postmaster.pid, which nobody else can: its process ID, and once it listens, its
// state.
func (p *Postgres) listens() error {
	text, err := os.ReadFile(filepath.Join(p.data(), "postmaster.pid"))
	if err != nil {
		return err
	}
	const pid, port, state = 0, 3, 7
	lines := strings.Split(string(text), "\n")
	if len(lines) <= state || lines[pid] != fmt.Sprint(p.child.PID()) || lines[port] != fmt.Sprint(p.port) {
		return errors.New("PostgreSQL does not listen yet")
	}
	if now := strings.TrimSpace(lines[state]); now != "ready" && now != "standby" {
		return fmt.Errorf("PostgreSQL is %s", now)
	}
	return nil
}

// connect connects as the superuser, and tells nobody the password who asks for the password itself. Others may have
// made functions and operators, so none are found but PostgreSQL's own.
func (p *Postgres) connect(ctx context.Context, database string) (*pgx.Conn, error) {
	cfg, err := pgx.ParseConfig(p.URL(database) + "&require_auth=scram-sha-256")
	if err != nil {
		return nil, err
	}
	cfg.RuntimeParams["search_path"] = "pg_catalog, pg_temp"
	return pgx.ConnectConfig(ctx, cfg)
}

func differs(got, want string) error {
	if got != want {
		return fmt.Errorf("another server uses the port: its data are in %s", got)
	}
	return nil
}

// URL returns the superuser's URL of a database.
func (p *Postgres) URL(database string) string { return p.urlOf(superuser, p.secret, database) }

func (p *Postgres) urlOf(user, password, database string) string {
	return fmt.Sprintf("postgres://%s:%s@127.0.0.1:%d/%s?sslmode=disable", user, password, p.port, database)
}

// CreateDatabase creates a database unless it exists.
func (p *Postgres) CreateDatabase(ctx context.Context, name string) error {
	conn, err := p.connect(ctx, "postgres")
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

// PID returns the process id of the postmaster.
func (p *Postgres) PID() int { return p.child.PID() }

// Ended returns a channel that is closed when the server has ended.
func (p *Postgres) Ended() <-chan struct{} { return p.child.Ended() }

// Stop shuts the server down cleanly, ending its sessions.
func (p *Postgres) Stop(ctx context.Context) error { return p.child.Stop(ctx, syscall.SIGINT) }

// Kill crashes the server. What was not flushed is lost, and the next Start recovers.
func (p *Postgres) Kill() error { return p.child.Kill() }

// tail returns the end of a log, for an error message.
func tail(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], " | ")
}
