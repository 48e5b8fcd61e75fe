package beat

import (
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// TestStreamsOfUnknownNamesWait has SQL write schedules of streams that are due before anybody has judged them. One has
// the name of another's queue, and never fires; the other one does, once it is judged.
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
