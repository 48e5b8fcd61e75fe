package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestDevMindsItsServers kills the servers of dev, which starts them again, and then deletes dev's folder.
func TestDevMindsItsServers(t *testing.T) {
	t.Parallel()
	state := stateDir(t)
	p := dev(t, state)
	redisURL := readEnv(t, filepath.Join(state, devEnvFile))["REDIS_URL"]
	postgres, redis := serverPIDs(t, state, redisURL)
	for _, pid := range []int{postgres, redis} {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	p.AwaitLog("PostgreSQL has ended by itself; starting it again")
	p.AwaitLog("Redis has ended by itself; starting it again")
	testenv.Eventually(t, "both servers run again", func() error {
		if !p.IsReady() {
			return errors.New("dev is not ready")
		}
		if p, err := os.ReadFile(filepath.Join(state, "postgres", "data", "postmaster.pid")); err != nil ||
			strings.HasPrefix(string(p), fmt.Sprint(postgres)) {
			return fmt.Errorf("PostgreSQL is still %d, %w", postgres, err)
		}
		return testenv.Client(t, redisURL).Ping(t.Context()).Err()
	})
	testenv.Eventually(t, "the line to try", func() error { // the answer of /readyz may be a second old
		if status, body := curl(t, p.AwaitLog(`(?s)tactus is running.*Ctrl-C`)[0]); status != http.StatusCreated {
			return fmt.Errorf("%d %s", status, body)
		}
		return nil
	})
	if err := os.RemoveAll(state); err != nil && !errors.Is(err, syscall.ENOTEMPTY) {
		t.Fatal(err)
	}
	if code := p.Wait(); code != exitFailure ||
		!strings.Contains(p.Log(), "\ntactus: the state folder "+state+" was deleted or moved while tactus dev ran") {
		t.Errorf("it ended with %d: %s", code, p.Log())
	}
}

// TestDevSaysWhatToDoAboutTheFolder starts on folders that it cannot use.
func TestDevSaysWhatToDoAboutTheFolder(t *testing.T) {
	t.Parallel()
	old, others := stateDir(t), stateDir(t)
	data := filepath.Join(old, "postgres", "data")
	if err := errors.Join(os.MkdirAll(data, 0o700), os.MkdirAll(others, 0o700)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "PG_VERSION"), []byte("9.6\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	whose := "belongs to another user (12345): choose a folder of your own"
	if os.Geteuid() == 0 {
		if err := os.Chown(others, 12345, 12345); err != nil {
			t.Fatal(err)
		}
	} else if err := os.Chmod(others, 0); err == nil {
		others, whose = filepath.Join(others, "in", "it"), "choose a folder of your own"
	}
	for dir, want := range map[string]string{
		old:    "has data of PostgreSQL 9.6, and this machine has PostgreSQL ",
		others: whose,
	} {
		p := testenv.Program{}.Start(t, "dev", "--state-dir", dir, "--http-addr", "127.0.0.1:0")
		code, said := p.Wait(), p.Log()
		lines := strings.Count(strings.ReplaceAll(said, "tactus dev: starting PostgreSQL\n", ""), "\n")
		if code == exitOK || lines != 1 || !strings.Contains(said, want) || !strings.Contains(said, "TACTUS_STATE_DIR") {
			t.Errorf("on %s it ended with %d, saying %s", dir, code, said)
		}
	}
	if got := tactus(t, "dev", "--env", "--state-dir", old); got.code != exitNotFound ||
		!strings.Contains(got.problems, "no tactus dev runs on "+old) {
		t.Errorf("--env where none runs: %+v", got)
	}
}
