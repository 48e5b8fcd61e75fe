package celery_worker_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/servers"
	"github.com/tactus-dev/tactus/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// TestExampleRunsWhatTactusSends starts the example as it is, and hands it a run as the relay does.
func TestExampleRunsWhatTactusSends(t *testing.T) {
	t.Parallel()
	broker := testenv.RedisServer(t, nil)
	client := testenv.Client(t, broker.URL(0))
	run := domain.DueRun{
		ScheduleID: domain.ID(uuid.New()), RunID: domain.ID(uuid.New()), DueAt: time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC),
		ScheduleName: "listed info", Task: domain.Task{
			TaskName: "fetch_listed_info_task", Args: json.RawMessage(`[]`),
			Kwargs: json.RawMessage(`{"period_type": "custom", "from_date": "2026-01-01", "to_date": "2026-01-31", "schedule_id": "x"}`),
		},
	}
	to, message, err := celery.Encode(run, uuid.NewString(), celery.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := client.LPush(t.Context(), to.Key, message).Err(); err != nil {
		t.Fatal(err)
	}
	work(t, broker.URL(0))
	var got any
	testenv.Eventually(t, "the result", func() error {
		text, err := client.Get(t.Context(), celery.ResultPrefix+run.RunID.String()).Bytes()
		if err != nil {
			return err
		}
		result, err := celery.ParseResult(text)
		if err == nil && result.Status != celery.Success {
			err = fmt.Errorf("it is %s %s", result.Status, result.Exception)
		}
		if err != nil {
			return err
		}
		return json.Unmarshal(result.Value, &got)
	})
	want := map[string]any{"period_type": "custom", "from_date": "2026-01-01", "to_date": "2026-01-31", "due_at": "2026-01-02T03:04:00.000000+00:00"}
	if diff := cmp.Diff(any(want), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func work(t *testing.T, broker string) {
	t.Helper()
	app, err := os.ReadFile("app.py")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := testenv.Dir()
	if err != nil {
		t.Fatal(err)
	}
	worker, err := servers.StartCelery(t.Context(), servers.CeleryConfig{Config: servers.Config{Dir: filepath.Join(dir, "worker")}, App: string(app), BrokerURL: broker})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = worker.Kill() }) // nothing that it does is needed any more
}
