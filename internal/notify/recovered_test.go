package notify_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/notify"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay"
)

// TestFailingIsKeptBySchedule has several rules for one schedule that fails. The failure is one row for all of them, so
// deleting the rule that saw it first costs the others no recovery. The row is deleted with the last rule.
func TestFailingIsKeptBySchedule(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	store, sink := notify.NewStore(pool), notify.NewRules(pool, func() {})
	for _, name := range []string{"a", "b", "c"} {
		r, secret, err := domain.DecodeNotificationRule(name, []byte(
			`{"on":["failed","recovered"],"to":"webhook","url":"http://h.example/","every_minutes":60}`))
		if err == nil {
			_, _, _, err = store.Put(t.Context(), r, secret, 0)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	at, schedule := relay.Mark{Epoch: "e"}, outbox.NewID()
	if err := sink.Begin(t.Context(), relay.Mark{}, at); err != nil {
		t.Fatal(err)
	}
	ends := func(states ...string) {
		t.Helper()
		var entries []relay.Entry
		for i, state := range states {
			data, err := json.Marshal(map[string]any{"schedule_id": schedule, "schedule_name": "s", "status": state})
			if err != nil {
				t.Fatal(err)
			}
			m, err := notify.Encode(outbox.Row{
				Aggregate: outbox.NewID(), Version: 1, Type: domain.EventType("run." + state), Data: data, At: time.Now().Add(time.Hour),
			}, "e")
			if err != nil {
				t.Fatal(err)
			}
			entries = append(entries, relay.Entry{ID: relay.ID{Batch: 1, Seq: at.Last.Seq + int64(i) + 1}, Message: m})
		}
		var err error
		if at, err = sink.Append(t.Context(), at, entries); err != nil {
			t.Fatal(err)
		}
	}
	is := func(failing, told, recovered int64) {
		t.Helper()
		var f, d, r int64
		if err := pool.QueryRow(t.Context(), `
select (select count(*) from tactus.notification_failing), coalesce(sum(count), 0)::bigint,
    coalesce(sum((select count(*) from unnest(documents) d where d::json->>'what' = 'recovered')), 0)::bigint
from tactus.notification_deliveries`).Scan(&f, &d, &r); err != nil || f != failing || d != told || r != recovered {
			t.Errorf("%d failing, %d told, %d recovered, want %d, %d, %d; %v", f, d, r, failing, told, recovered, err)
		}
	}
	away := func(name string) {
		t.Helper()
		if err := store.Delete(t.Context(), name, 0); err != nil {
			t.Fatal(err)
		}
	}
	ends("failed", "failed")
	is(1, 6, 0)
	var first string
	if err := pool.QueryRow(t.Context(), `select r.name from tactus.notification_failing f
join tactus.notification_rules r on r.id = f.rule_id`).Scan(&first); err != nil {
		t.Fatal(err)
	}
	away(first)
	is(1, 4, 0)
	ends("succeeded", "succeeded")
	is(0, 6, 2)
	ends("failed", "succeeded", "failed") // in one batch
	is(1, 12, 4)
	for _, name := range []string{"a", "b", "c"} {
		if name != first {
			away(name)
		}
	}
	is(0, 0, 0)
}
