package catalog_test

import (
	"slices"
	"testing"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/catalog"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// restored makes the log that of another server, whose transactions had higher numbers, in which an epoch has begun since.
const restored = `
with old as (update tactus.outbox set xid = '9000000000' returning position)
insert into tactus.relay_sinks (sink, topic, epoch, timeline, system_identifier, floor)
select 'events', 'schedule', 'e', 't', 's', max(position) from old`

// TestEventsOfARestoredLog reads from the beginning, and on.
func TestEventsOfARestoredLog(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	c, store := catalog.New(pool), outbox.NewStore(pool, "")
	create := func(names ...string) {
		for _, name := range names {
			if _, err := store.Create(t.Context(), domain.Definition{Name: name, TaskName: "t", CronExpression: "* * * * *"}, "", nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	create("a", "b", "c")
	if _, err := pool.Exec(t.Context(), restored); err != nil {
		t.Fatal(err)
	}
	create("d")
	var versions []int64
	var after catalog.Cursor
	for _, want := range []int{2, 2, 0} { // two at a time
		events, next, err := c.Events(t.Context(), after, catalog.EventFilter{}, 2)
		if err != nil || len(events) != want {
			t.Fatalf("%d events, want %d: %v", len(events), want, err)
		}
		for _, e := range events {
			versions = append(versions, e.Position)
		}
		after = next
	}
	create("e")
	events, _, err := c.Events(t.Context(), after, catalog.EventFilter{}, 10)
	if err != nil || len(events) == 0 {
		t.Fatalf("%d events, %v", len(events), err)
	}
	if last := events[len(events)-1].Position; slices.Contains(versions, last) {
		t.Errorf("position %d comes again and not what is new", last)
	}
}
