package poison

import (
	"fmt"
	"testing"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/redis"
)

// TestTimesWithoutEnd has somebody who may write the log write events at times that Go and JSON do not have, and asks
// that the events and runs of all others go on.
func TestTimesWithoutEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := w.relay()
	defer stop()
	for _, at := range []string{"infinity", "-infinity", "4713-01-01 BC", "200000-01-01"} {
		for _, topic := range []string{"schedule", "run"} {
			w.sql(fmt.Sprintf(`insert into tactus.outbox (topic, aggregate_id, version, type, data, occurred_at)
				values ('%s', gen_random_uuid(), 1, '%[1]s.due', '[1]', '%s')`, topic, at))
		}
	}
	s := w.put(domain.Definition{Name: "other", TaskName: "app.other", CronExpression: "0 0 1 1 *", Queue: queue})
	if _, err := w.store.Trigger(t.Context(), s.ID); err != nil {
		t.Fatal(err)
	}
	w.awaitQueue("the other's run is in the queue", 1)
	w.await("the other's run is sent", 1, `select count(*) from tactus.runs where status = 'sent'`)
	if n := w.redis.XLen(t.Context(), redis.EventStream).Val(); n < 1 {
		t.Error("the other's event is not in the stream")
	}
	var page struct{ Events []any }
	w.get("/events", &page)
	if len(page.Events) == 0 {
		t.Error("the log is not read")
	}
}
