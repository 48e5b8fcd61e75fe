package e2e_test

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/internal/servers"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestWorkerThroughAFailover kills the primary of a broker behind Sentinel while runs fire every second. tactus and a
// Celery worker go on with the replica that Sentinel promotes: what fires later runs and is answered, what fired
// meanwhile ends, and no task runs twice that the worker had finished before.
func TestWorkerThroughAFailover(t *testing.T) {
	t.Parallel()
	primary := testenv.RedisServer(t, map[string]string{"repl-diskless-sync-delay": "0"})
	_, port, err := net.SplitHostPort(primary.Addr())
	if err != nil {
		t.Fatal(err)
	}
	testenv.RedisServer(t, map[string]string{"replicaof": "127.0.0.1 " + port, "repl-diskless-sync-delay": "0"})
	found := testenv.Sentinel(t, primary, 1)
	at, err := url.Parse(found)
	if err != nil {
		t.Fatal(err)
	}
	password, _ := at.User.Password()
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil { // the worker may be another user's
		t.Fatal(err)
	}
	notes := filepath.Join(dir, "notes")

	s := &stack{T: t, env: []string{"DATABASE_URL=" + testenv.DirectURL(t), "REDIS_URL=" + found, "CELERY_BROKER_URL=" + found}}
	state, err := testenv.Dir()
	if err != nil {
		t.Fatal(err)
	}
	p := testenv.Program{Env: s.env}.Start(t, "dev", "--state-dir", filepath.Join(state, "state"), "--http-addr", "127.0.0.1:0")
	p.AwaitReady()
	s.api = p.URL() + "/api/v1"
	app, err := os.ReadFile("testdata/sentinel.py")
	if err != nil {
		t.Fatal(err)
	}
	testenv.Worker(t, servers.CeleryConfig{
		App:       strings.NewReplacer("PASSWORD", password, "NOTES", notes).Replace(string(app)),
		BrokerURL: fmt.Sprintf("sentinel://:%s@%s/0", password, at.Host), Args: []string{"--events"},
	})

	schedule := s.create(`"interval_seconds": 1, "misfire_policy": "all", "task_name": "app.note"`)
	succeeded := func(least int) (ids []string) {
		t.Helper()
		testenv.Eventually(t, fmt.Sprintf("%d have succeeded", least), func() error {
			ids = nil
			for _, r := range s.history(schedule) {
				if r.Status == "succeeded" {
					ids = append(ids, r.TaskID)
				}
			}
			if len(ids) < least {
				return fmt.Errorf("%d have", len(ids))
			}
			return nil
		})
		return ids
	}
	before := succeeded(3)
	if err := primary.Kill(); err != nil {
		t.Fatal(err)
	}
	succeeded(len(before) + 10)
	s.ask("POST", "/schedules/"+schedule+"/toggle", "", nil)
	p.AwaitReady()

	text, err := os.ReadFile(notes)
	if err != nil {
		t.Fatal(err)
	}
	ran := strings.Fields(string(text))
	for _, id := range before {
		if i := slices.Index(ran, id); i < 0 || slices.Contains(ran[i+1:], id) {
			t.Errorf("task %s ran before, and the notes are %v", id, ran)
		}
	}
	due := map[string]int{}
	for _, r := range s.history(schedule) {
		due[r.DueAt.UTC().Format("15:04:05.999")]++
		if r.Kind == "scheduled" && r.Status == "missed" {
			t.Errorf("missed: %+v", r)
		}
	}
	for at, n := range due {
		if n > 1 {
			t.Errorf("%d runs are due at %s", n, at)
		}
	}
}
