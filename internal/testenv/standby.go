package testenv

import (
	"fmt"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/internal/servers"
)

// Standby starts a hot standby of a server for t alone, and gives the proxy that it replicates through.
func Standby(t testing.TB, primary *servers.Postgres) (*servers.Postgres, *Proxy) {
	t.Helper()
	proxy, through := Through(t, primary.URL("postgres"))
	cfg, err := serverConfig(unqualified(nil))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Suite = os.Getenv("TACTUS_TEST_POSTGRES")
	standby, err := servers.StartStandby(t.Context(), through, cfg)
	if err != nil {
		t.Fatalf("start a standby: %v", err)
	}
	t.Cleanup(func() { _ = standby.Kill() }) // nothing in it is needed any more
	return standby, proxy
}

// AwaitReplay waits until a standby shows all that its primary has committed.
func AwaitReplay(t testing.TB, primary, standby *servers.Postgres) {
	t.Helper()
	here, there := session(t, primary), session(t, standby)
	var lsn string
	if err := here.QueryRow(t.Context(), `select pg_current_wal_insert_lsn()::text`).Scan(&lsn); err != nil {
		t.Fatal(err)
	}
	Eventually(t, "the standby has replayed all", func() error {
		var left int64
		err := there.QueryRow(t.Context(), `select pg_wal_lsn_diff($1::text::pg_lsn, pg_last_wal_replay_lsn())::bigint`, lsn).Scan(&left)
		if err == nil && left > 0 {
			err = fmt.Errorf("%d bytes are left", left)
		}
		return err
	})
}

func session(t testing.TB, server *servers.Postgres) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), server.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(t.Context()) }) // its server may be gone
	return conn
}

// Archived starts a PostgreSQL for t alone, with a migrated database in it, that archives its write-ahead log. Backup
// copies it, and returns what starts the copy with all that was archived up to a restore point.
func Archived(t testing.TB) (
	server *servers.Postgres, url string, backup func() (restore func(point string) *servers.Postgres),
) {
	t.Helper()
	archive, err := Dir()
	if err == nil {
		err = os.Chmod(archive, 0o777) // the server has a user of its own
	}
	if err != nil {
		t.Fatal(err)
	}
	server, url = Postgres(t, map[string]string{
		"archive_mode": "on", "archive_command": "cp %p " + archive + "/%f", "wal_level": "replica",
	})
	return server, url, func() func(string) *servers.Postgres {
		cfg, err := serverConfig(unqualified(nil))
		if err != nil {
			t.Fatal(err)
		}
		cfg.Suite = os.Getenv("TACTUS_TEST_POSTGRES")
		restore, err := server.Backup(t.Context(), cfg)
		if err != nil {
			t.Fatalf("back up: %v", err)
		}
		return func(point string) *servers.Postgres {
			restored, err := restore(t.Context(), archive, point)
			if err != nil {
				t.Fatalf("restore: %v", err)
			}
			t.Cleanup(func() { _ = restored.Kill() }) // nothing in it is needed any more
			return restored
		}
	}
}
