package testenv

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/tactus-dev/tactus/internal/servers"
)

// Worker starts a Celery worker for t alone. Of cfg the folder is not used.
func Worker(t testing.TB, cfg servers.CeleryConfig) *servers.Celery {
	t.Helper()
	dir, err := Dir()
	if err != nil {
		t.Fatal(err)
	}
	cfg.Dir, cfg.Log = filepath.Join(dir, "worker"), func(text string) { t.Log(text) }
	worker, err := servers.StartCelery(t.Context(), cfg)
	if err != nil {
		t.Fatalf("start a Celery worker: %v", err)
	}
	t.Cleanup(func() {
		_ = worker.Kill() // nothing that it does is needed any more
		if t.Failed() {
			log, _ := os.ReadFile(worker.LogFile()) // best effort
			t.Logf("the worker's log:\n%s", log)
		}
	})
	return worker
}
