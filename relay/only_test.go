package relay_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay"
)

// TestReadsOnlyWhatIsForTheSink has many runs for a queue and few for a stream. The lane of the streams passes over all
// of them, and reads only the data of the few.
func TestReadsOnlyWhatIsForTheSink(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sink, err := redis.NewTaskSink(w.redis, "streams")
	if err != nil {
		t.Fatal(err)
	}
	var given atomic.Int64
	streams := ofStreams(sink, &given)
	w.fire(t, "before", 1)
	w.carry(t, streams)
	w.awaitEnd(t, "streams")
	w.fire(t, "q", 50)
	w.awaitEnd(t, "streams")
	if n := given.Load(); n != 0 {
		t.Errorf("the lane of the streams was given %d of 50 runs for a queue", n)
	}
	s, _, err := w.store.Put(t.Context(), domain.Definition{
		Name: "s", CronExpression: "0 0 1 1 *", TaskName: "app.task", Stream: "work",
	})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		w.fire(t, "q", 20)
		if _, err := w.store.Trigger(t.Context(), s.ID); err != nil {
			t.Fatal(err)
		}
		testenv.Eventually(t, "the run is in the stream", func() error {
			if l := w.redis.XLen(t.Context(), "work").Val(); l != int64(n+1) {
				return fmt.Errorf("%d entries", l)
			}
			return nil
		})
	}
	w.awaitEnd(t, "streams")
	if n := given.Load(); n != 3 {
		t.Errorf("it was given %d runs, 3 of 114 are for streams", n)
	}
}

// TestPassingOthersNeedsNoOtherPartition locks an empty partition of the runs, while a lane passes over batches without
// rows for its sink.
func TestPassingOthersNeedsNoOtherPartition(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sink, err := redis.NewTaskSink(w.redis, "streams")
	if err != nil {
		t.Fatal(err)
	}
	w.fire(t, "before", 1)
	w.carry(t, ofStreams(sink, new(atomic.Int64)))
	w.awaitEnd(t, "streams")
	tx, err := w.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }() // else waiters for the lock never end
	if _, err := tx.Exec(t.Context(), `lock table tactus.runs_default in access exclusive mode`); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		w.fire(t, "q", 5)
		w.awaitEnd(t, "streams")
	}
}

// ofStreams returns a route of the runs for streams, whose encoder counts the rows with data.
func ofStreams(sink relay.Sink, given *atomic.Int64) relay.Route {
	return relay.Route{
		Name: "streams", Topic: outbox.Runs, Only: sqlexpr.ToStream, Sink: sink, Tasks: true, Redeliver: time.Hour,
		Encode: func(row outbox.Row, epoch string) (*message.Message, error) {
			given.Add(1)
			return redis.EncodeRun(row, epoch, celery.Config{})
		},
	}
}

// awaitEnd waits until a sink has reached the end of the log of runs.
func (w *world) awaitEnd(t testing.TB, sink string) {
	t.Helper()
	testenv.Eventually(t, sink+" is at the end", func() error {
		if w.number(t, `select count(*) from tactus.relay_sinks s join tactus.relay_batches b on b.sink = s.sink and b.number = s.confirmed_batch
			where s.sink = $1 and s.confirmed_place >= b.row_count
				and coalesce(b.last_position, s.floor) >= (select max(position) from tactus.outbox where topic = 'run')`, sink) == 0 {
			return errNotYet
		}
		return nil
	})
}
