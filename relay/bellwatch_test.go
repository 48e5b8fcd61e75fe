package relay

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/internal/sqlexpr"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestKeptBellIsTold has a session that keeps the lock of a bell. This is logged once, and so is its end.
func TestKeptBellIsTold(t *testing.T) {
	t.Parallel()
	pool := testenv.Connect(t, testenv.DirectURL(t))
	var log bytes.Buffer
	w := bellWatch{log: slog.New(slog.NewTextHandler(&log, nil))}
	look := func(told int) {
		t.Helper()
		if err := w.look(t.Context(), pool); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(log.String(), "level=WARN"); n != told {
			t.Errorf("told %d times, want %d:\n%s", n, told, &log)
		}
	}
	look(0)
	stranger, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Release()
	if _, err := stranger.Exec(t.Context(), `select pg_advisory_lock(`+sqlexpr.RunBellLock+`)`); err != nil {
		t.Fatal(err)
	}
	look(0) // it may be a writer that rings
	look(1)
	look(1)
	if _, err := stranger.Exec(t.Context(), `select pg_advisory_unlock(`+sqlexpr.RunBellLock+`)`); err != nil {
		t.Fatal(err)
	}
	look(1)
	if !strings.Contains(log.String(), "free again") {
		t.Error("that it is over is not told")
	}
}
