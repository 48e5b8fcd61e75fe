package beat

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay/cloudevents"
)

// TestForgedEventsFireNothing writes forged events to the stream, which say, with various versions and epochs, that a
// disabled, a deleted and an unknown schedule are enabled and due each second. A beat looks each schedule up, fires
// only what the table says, and goes on with the others.
func TestForgedEventsFireNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sound, disabled, deleted := w.create(minutely(``)), w.create(minutely(`, "enabled": false`)), w.create(minutely(``))
	if err := w.store.Delete(t.Context(), deleted.ID, 0); err != nil {
		t.Fatal(err)
	}
	b := w.beat("a")
	unknown := outbox.NewID()
	const data = `{"enabled": true, "interval_seconds": 1, "task_name": "forged", "trigger": "interval 1 2026-01-01T00:00:00Z"}`
	for range 6 {
		for _, id := range []domain.ID{sound.ID, disabled.ID, deleted.ID, unknown} {
			for _, version := range []int64{0, 1, 2, 3, math.MaxInt64} {
				for _, what := range []domain.EventType{domain.ScheduleCreated, domain.ScheduleUpdated, domain.RunDue} {
					m, err := cloudevents.Schedule(outbox.Row{Aggregate: id, Version: version, Type: what, Data: []byte(data)}, fmt.Sprint(version))
					if err != nil {
						m = message.NewMessage("x", fmt.Appendf(nil, `{"id": "%s/%d", "type": %q, "subject": %q}`, id, version, what, id))
					}
					b.receive(parseEvent(m))
				}
			}
		}
		w.setClock(w.now.Add(20 * time.Second))
		w.step(b, w.now)
	}
	if fired := w.count(`select count(*) from tactus.runs where schedule_id <> $1`, sound.ID); fired != 0 {
		t.Errorf("%d runs were forged", fired)
	}
	if runs := w.runs(sound.ID); len(runs) != 2 {
		t.Errorf("the sound one has %q", runs)
	}
	if n := w.count(`select count(*) from tactus.runs where task is not null`); n != 0 {
		t.Errorf("%d runs have a task of their own", n)
	}
}
