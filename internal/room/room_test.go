package room_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/internal/room"
	"github.com/tactus-dev/tactus/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// record records so many events of runs of a quarter of a megabyte.
func record(t *testing.T, pool *pgxpool.Pool, many int) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), `insert into tactus.outbox (topic, aggregate_id, version, type, data)
		select 'run', gen_random_uuid(), 1, 'run.due', ('"' || repeat('x', 262142) || '"')::json from generate_series(1, $1)`, many); err != nil {
		t.Fatal(err)
	}
}

func any(t *testing.T, r *room.Room, pool *pgxpool.Pool) bool {
	t.Helper()
	is, err := r.Any(t.Context(), pool)
	if err != nil {
		t.Fatal(err)
	}
	return is
}

// TestRoom has room until 16 MiB wait for a sink, whoever has recorded them, and again as soon as the sink has taken
// some. A sink that cannot be served keeps nobody out, and nor does one of another topic.
func TestRoom(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	record(t, pool, 100)
	if !any(t, &room.Room{}, pool) {
		t.Error("there is no room, and no sink either")
	}
	testenv.RunSink(t, pool, "celery")
	testenv.RunSink(t, pool, "stopped")
	if _, err := pool.Exec(t.Context(), `
		update tactus.relay_sinks set stopped = 'x' where sink = 'stopped';
		update tactus.relay_batches set last_position = 1, first_position = 1 where sink = 'stopped'`); err != nil {
		t.Fatal(err)
	}
	record(t, pool, 63)
	if !any(t, &room.Room{}, pool) {
		t.Error("there is no room for a last one")
	}
	record(t, pool, 1)
	if any(t, &room.Room{}, pool) {
		t.Error("there is room beside 16 MiB")
	}
	testenv.SinkTakes(t, pool, "celery")
	if !any(t, &room.Room{}, pool) {
		t.Error("there is no room after the sink has taken everything")
	}
}

// TestRoomKnowsWhatItsProcessRecords, without having to look.
func TestRoomKnowsWhatItsProcessRecords(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	testenv.RunSink(t, pool, "celery")
	var r room.Room
	if !any(t, &r, pool) {
		t.Error("there is no room")
	}
	record(t, pool, 64)
	r.Takes(room.Most)
	if any(t, &r, pool) {
		t.Error("there is room")
	}
	if waited, err := r.Wait(t.Context(), pool, 0); waited || err != nil {
		t.Errorf("%v, %v", waited, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if waited, err := r.Wait(ctx, pool, time.Hour); waited || err == nil {
		t.Errorf("%v, %v", waited, err)
	}
	testenv.SinkTakes(t, pool, "celery")
	if waited, err := r.Wait(t.Context(), pool, time.Hour); !waited || err != nil {
		t.Errorf("%v, %v", waited, err)
	}
}
