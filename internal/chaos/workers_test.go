package chaos

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/tactus-dev/tactus/internal/testenv"
)

// workers takes tasks from the queue as Celery workers do, and leaves results.
type workers struct {
	w   *world
	mu  sync.Mutex
	ran map[string]int
}

func (k *workers) run(ctx context.Context) {
	client := testenv.Client(k.w.t, k.w.broker)
	for ctx.Err() == nil {
		taken, err := client.BRPop(ctx, time.Second, queue).Result()
		if err != nil {
			continue // no task, or no Redis
		}
		var m struct{ Headers struct{ ID string } }
		if err := json.Unmarshal([]byte(taken[1]), &m); err != nil {
			k.w.t.Errorf("a worker cannot decode %q: %v", taken[1], err)
			continue
		}
		k.note(m.Headers.ID)
		result := `{"status":"SUCCESS","result":null,"traceback":null,"children":[],"date_done":"` + time.Now().UTC().Format("2006-01-02T15:04:05.000000") + `","task_id":"` + m.Headers.ID + `"}`
		key := "celery-task-meta-" + m.Headers.ID
		client.Set(ctx, key, result, time.Hour) // a result may be lost
		client.Publish(ctx, key, result)
	}
}

func (k *workers) note(id string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ran[id]++
}

// again returns how many tasks ran more than once, which cannot be avoided when a broker loses its data.
func (k *workers) again() (n int) {
	for _, times := range k.ran {
		if times > 1 {
			n++
		}
	}
	return n
}
