package relay_test

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/relay"
)

// fireMany makes many runs of a schedule by one statement.
func (w *world) fireMany(t *testing.T, name string, runs int) {
	t.Helper()
	w.sql(t, `with run as (
		insert into tactus.runs (id, schedule_id, due_at, slot, kind, status, schedule_version)
		select i.id, s.id, clock_timestamp(), i.id, 'manual', 'due', 1
		from tactus.schedules s, generate_series(1, $1::int) n, lateral (select gen_random_uuid() as id where n > 0) i
		where s.name = $2 returning id, schedule_id, due_at
	) insert into tactus.outbox (topic, aggregate_id, version, type, data)
	select 'run', run.id, 1, 'run.due', tactus.run_due(s.id, s.name, s.task, run.id, run.due_at, 'manual')
	from run join tactus.schedules s on s.id = run.schedule_id`, runs, name)
}

// endsAt is a sink that takes a number of tasks of a batch, and then fails. It signals when it is asked for its mark
// after that.
type endsAt struct {
	*redis.TaskSink
	seq    int64
	relay  *relay.Relay
	failed atomic.Bool
	asked  chan<- struct{}
}

func (s *endsAt) Mark(ctx context.Context) (relay.Mark, error) {
	if s.failed.Load() {
		s.asked <- struct{}{}
	}
	return s.TaskSink.Mark(ctx)
}

func (s *endsAt) Append(ctx context.Context, at relay.Mark, entries []relay.Entry) (relay.Mark, error) {
	if entries[0].ID.Seq > s.seq {
		s.failed.Store(true)
		return relay.Mark{}, errors.New("the broker is away")
	}
	for s.relay.Stats()[0].Waiting <= s.seq && ctx.Err() == nil {
		runtime.Gosched()
	}
	return s.TaskSink.Append(ctx, at, entries)
}

// TestWhatTheSinkHasIsConfirmed makes a sink fail right behind the first chunk of a batch. This chunk is confirmed
// before the relay tries again, however long that takes. Here it takes two statements, because one of the runs is
// locked.
func TestWhatTheSinkHasIsConfirmed(t *testing.T) {
	t.Parallel()
	const chunk = 1000
	w := newWorld(t)
	rollback := w.lock(t, w.fire(t, "q", 1)[0])
	w.fireMany(t, "q", 2*chunk)
	route := w.tasks(t)
	whole := route.Sink
	sink, ok := whole.(*redis.TaskSink)
	if !ok {
		t.Fatalf("%T", whole)
	}
	asked := make(chan struct{})
	fails := &endsAt{TaskSink: sink, seq: chunk, asked: asked}
	route.Sink = fails
	r, err := relay.New(w.pool, []relay.Route{route}, relay.Config{Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	fails.relay = r
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { r.Run(ctx) })
	<-asked
	sent := w.number(t, `select count(*) from tactus.runs where status = 'sent'`)
	if sent != chunk-1 {
		t.Errorf("of %d tasks that the sink has, but for one, %d are sent", chunk, sent)
	}
	rollback()
	go func() {
		for range asked { // while the relay stops
		}
	}()
	stop()
	running.Wait()
	close(asked)
	route.Sink = whole
	w.carry(t, route)
	w.awaitHandedOver(t, "q", 2*chunk+1, 0)
}
