package beat

import (
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// TestStreamsOfUnknownNamesWait writes schedules of streams by SQL that are due before they are judged. One stream has
// the name of another application's queue: its schedule never fires. The other schedule fires once it is judged.
func TestStreamsOfUnknownNamesWait(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create(`{"queue": "theirs", "name": "own", "interval_seconds": 86400, "task_name": "a"}`)
	put := func(name, stream string) domain.ID {
		var id domain.ID
		if err := w.pool.QueryRow(t.Context(), `select tactus.put_schedule(jsonb_build_object('name', $1::text,
			'stream', $2::text, 'task_name', 'a', 'cron_expression', '* * * * *'))`, name, stream).Scan(&id); err != nil {
			t.Fatal(err)
		}
		return id
	}
	bad, good := put("bad", "theirs"), put("good", "ours")
	b := w.beat("a")
	due := w.now.Truncate(time.Minute).Add(time.Minute)
	w.step(b, due)
	if n := w.count(`select count(*) from tactus.runs where schedule_id in ($1, $2)`, bad, good); n != 0 {
		t.Errorf("%d runs before anybody has judged", n)
	}
	if invalid, err := w.store.Judge(t.Context()); err != nil || invalid != 1 {
		t.Errorf("%d are invalid, %v", invalid, err)
	}
	w.step(b, due.Add(2*firstLeave))
	if n := w.count(`select count(*) from tactus.runs where schedule_id = $1 and status = 'due' and due_at = $2`, good, due); n != 1 {
		t.Errorf("%d runs once it is judged", n)
	}
	if n := w.count(`select count(*) from tactus.runs where schedule_id = $1 and status <> 'missed'`, bad); n != 0 {
		t.Errorf("%d runs to the queue of another", n)
	}
}

// TestWhatWaitsForJudgementIsNotLate leaves schedules unjudged for longer than any grace. Due times that pass meanwhile
// fire under every policy once the schedules are judged, even if the beat has crashed in the meantime. Later due times
// become late as usual.
func TestWhatWaitsForJudgementIsNotLate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := map[string]domain.ID{}
	for _, policy := range []string{"latest", "all", "none"} {
		var id domain.ID
		if err := w.pool.QueryRow(t.Context(), `select tactus.put_schedule(jsonb_build_object('name', $1::text,
			'stream', 's', 'task_name', 'a', 'cron_expression', '* * * * * *', 'cron_seconds', true,
			'misfire_policy', $1::text, 'misfire_grace_seconds', 1, 'misfire_window_seconds', 1))`, policy).Scan(&id); err != nil {
			t.Fatal(err)
		}
		ids[policy] = id
	}
	if _, err := w.pool.Exec(t.Context(), `update tactus.schedules set updated_at = $1, effective_from = $1, trigger_set_at = $1`, w.now); err != nil {
		t.Fatal(err)
	}
	written, b := w.now, w.beat("a")
	for range 40 {
		w.step(b, w.now.Add(time.Second))
	}
	b = w.beat("b") // the first one has crashed
	for range 40 {
		w.step(b, w.now.Add(time.Second))
	}
	if n := w.count(`select count(*) from tactus.runs`); n != 0 {
		t.Errorf("%d rows before anybody has judged", n)
	}
	if invalid, err := w.store.Judge(t.Context()); err != nil || invalid != 0 {
		t.Fatalf("%d are invalid, %v", invalid, err)
	}
	w.step(b, w.now.Add(lastLeave))
	for policy, id := range ids {
		want := int(w.now.Sub(written) / time.Second)
		if n := w.count(`select count(*) from tactus.runs where schedule_id = $1 and status = 'due'`, id); n != want {
			t.Errorf("%s: %d fired, want %d: %v", policy, n, want, w.runs(id))
		}
	}
	w.step(b, w.now.Add(time.Hour))
	for policy, id := range ids {
		if n := w.count(`select count(*) from tactus.runs where schedule_id = $1 and status = 'missed'`, id); n != 1 {
			t.Errorf("%s: %d ranges missed after an outage, want 1", policy, n)
		}
	}
}
