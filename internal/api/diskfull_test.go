package api_test

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestPostgresDiskFull limits PostgreSQL's files to a bit more than 20 MB. PostgreSQL then fails to write a whole page,
// which it takes for a full disk. A write that does not fit leaves nothing behind, other requests are served meanwhile,
// and all are when there is room again.
func TestPostgresDiskFull(t *testing.T) {
	t.Parallel()
	server, url := testenv.Postgres(t, nil)
	restart := func(limit int64) {
		t.Helper()
		if err := server.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		server.LimitFiles(limit)
		if err := server.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	restart(20<<20 + 4096)
	s := serveOn(t, url)
	made := 0
	for ; ; made++ {
		if made > 500 {
			t.Fatal("the disk does not get full")
		}
		full := false
		testenv.Eventually(t, "a schedule is made, or the disk is full", func() error {
			a := s.do(t, "PUT", fmt.Sprint("/schedules/by-name/big", made), big(t))
			if full = strings.Contains(a.body, "database_full"); full || a.status == 201 || a.status == 200 {
				return nil
			}
			return fmt.Errorf("%d %.300s", a.status, a.body) // a busy machine did not answer in time
		})
		if full {
			break
		}
	}
	s.refused(t, "database_full", "PUT", "/schedules/by-name/big", big(t))
	if total := s.do(t, "GET", "/schedules?per_page=1", "").want(t, 200).member(t, "total"); total != fmt.Sprint(made) {
		t.Errorf("%s schedules are there, want %d", total, made)
	}
	var schedules, events int
	if err := s.pool.QueryRow(t.Context(), `select (select count(*) from tactus.schedules), (select count(*) from tactus.outbox)`).Scan(&schedules, &events); err != nil || schedules != events {
		t.Errorf("%d schedules, %d events, %v", schedules, events, err)
	}
	restart(0)
	s.recovered(t, "PUT", "/schedules/by-name/big", big(t), 201)
}

// big is a definition that cannot be compressed.
func big(t *testing.T) string {
	t.Helper()
	noise := make([]byte, 100<<10)
	if _, err := rand.Read(noise); err != nil {
		t.Fatal(err)
	}
	return `{"interval_seconds":5,"task_name":"t","kwargs":{"a":"` + hex.EncodeToString(noise) + `"}}`
}
