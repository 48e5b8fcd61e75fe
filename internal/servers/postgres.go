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

// Postgres is a PostgreSQL server of ours. Its superuser is tactus, without a password, from this machine only.
type Postgres struct {
	cfg    Config
	binary binary
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
	if err := own(p.cfg.Dir); err != nil {
		return fmt.Errorf("prepare %s: %w", p.cfg.Dir, err)
	}
	if _, err := os.Stat(filepath.Join(p.data(), "PG_VERSION")); err == nil {
		return nil
	}
	p.cfg.say("preparing PostgreSQL in " + p.data())
	cmd := p.binary.sibling("initdb").command(ctx, "-D", p.data(), "-U", "tactus", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("initdb: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

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

// URL names a database of the server.
func (p *Postgres) URL(database string) string {
	return fmt.Sprintf("postgres://tactus@127.0.0.1:%d/%s?sslmode=disable", p.port, database)
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
