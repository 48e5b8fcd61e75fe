package servers_test

import (
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/servers"
)

// poolApp is an application that records the process ids of its pool in Redis.
const poolApp = `
import os
import celery
import celery.signals
import redis

app = celery.Celery("app")

@celery.signals.worker_process_init.connect
def note(**_):
    redis.Redis.from_url(os.environ["CELERY_BROKER_URL"]).rpush("pool", os.getpid())
`

func TestCeleryAndItsPoolEndAndStartAgain(t *testing.T) {
	t.Parallel()
	r, err := servers.StartRedis(t.Context(), config(t))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Kill()
	worker, err := servers.StartCelery(t.Context(), servers.CeleryConfig{Config: config(t), App: poolApp, BrokerURL: r.URL(0), Concurrency: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer worker.Kill()
	client := connect(t, r)
	crashed := pool(t, client, 2)
	if err := worker.Kill(); err != nil {
		t.Fatal(err)
	}
	awaitEnd(t, crashed)
	if err := worker.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	stopped := pool(t, client, 2)
	if err := worker.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	awaitEnd(t, append(stopped, worker.PID()))
}

// pool returns the recorded process ids.
func pool(t *testing.T, client *redis.Client, size int) (pids []int) {
	t.Helper()
	for range size {
		noted, err := client.BLPop(t.Context(), time.Minute, "pool").Result()
		if err != nil {
			t.Fatalf("the pool has not started: %v", err)
		}
		pid, err := strconv.Atoi(noted[1])
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}

func awaitEnd(t *testing.T, pids []int) {
	t.Helper()
	for _, pid := range pids {
		for deadline := time.Now().Add(time.Minute); syscall.Kill(pid, 0) == nil; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("process %d has not ended", pid)
			}
		}
	}
}

func TestCeleryFailsToStartWithItsReason(t *testing.T) {
	t.Parallel()
	_, err := servers.StartCelery(t.Context(), servers.CeleryConfig{
		Config: config(t), App: "raise RuntimeError('the app is broken')", BrokerURL: "redis://127.0.0.1:1/0",
	})
	if err == nil || !strings.Contains(err.Error(), "the app is broken") {
		t.Errorf("the error does not give the reason: %v", err)
	}
}

func TestCeleryPythonFromTheCache(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.IgnoreInstalled = true
	python, err := servers.CeleryPython(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	out, err := python.Command(t.Context(), "-c", "import celery; print(celery.__version__)").Output()
	if err != nil || !strings.HasPrefix(string(out), "5.") {
		t.Errorf("its version: %q, %v", out, err)
	}
}
