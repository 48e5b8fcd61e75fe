package shadow

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/wait"
)

const (
	inboxSize = 4096
	every     = time.Second // how often the tasks that were heard are recorded
	firstWait = 200 * time.Millisecond
	lastWait  = 10 * time.Second
)

// Watcher records the tasks that other beats and applications send.
type Watcher struct {
	pool   *pgxpool.Pool
	broker goredis.UniversalClient
	prefix string      // of the names of event channels
	active func() bool // whether there is something to compare with
	log    *slog.Logger
}

// NewWatcher returns a watcher on a pool and a client that the caller closes. prefix is the prefix of the event
// channels: that of the broker's keys, followed by the database ("/0."). The watcher listens only while active returns
// true, that is, while a beat in shadow mode decides.
func NewWatcher(pool *pgxpool.Pool, broker goredis.UniversalClient, prefix string, active func() bool,
	log *slog.Logger,
) *Watcher {
	return &Watcher{pool, broker, prefix, active, log}
}

// Run watches until ctx ends, and starts again after each outage. It records when it listened, so that a comparison
// leaves the outages out.
func (w *Watcher) Run(ctx context.Context) {
	for pause := firstWait; ctx.Err() == nil; {
		if !w.active() {
			_ = wait.For(ctx, firstWait)
			continue
		}
		began := time.Now()
		err := w.watch(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > lastWait {
			pause = firstWait
		}
		if errors.Is(err, errIdle) {
			w.log.Info("no longer watching what is sent", "reason", errIdle)
			continue
		}
		w.log.Warn("cannot watch what is sent; retrying", "err", err)
		_ = wait.For(ctx, pause/2+rand.N(pause))
		pause = min(2*pause, lastWait)
	}
}

// errIdle ends a watch that has nothing to be compared with.
var errIdle = errors.New("the beat in shadow mode no longer decides")

// errTooMany ends a watch that has lost events.
var errTooMany = errors.New("events come faster than they can be recorded")

// watch watches through one subscription until it breaks.
func (w *Watcher) watch(ctx context.Context) error {
	sub := w.broker.PSubscribe(ctx, redis.Literal(w.prefix)+"celeryev/task.*")
	ctx, cancel := context.WithCancelCause(ctx)
	inbox, recorded := make(chan string, inboxSize), make(chan struct{})
	began := make(chan struct{}, 1)
	go func() {
		defer close(recorded)
		select {
		case <-ctx.Done():
		case <-began:
			if err := w.record(ctx, inbox); err != nil {
				cancel(err)
			}
		}
	}()
	stop := context.AfterFunc(ctx, func() { _ = sub.Close() }) // ends the wait in Receive
	err := redis.Hear(ctx, sub, func() {
		select {
		case began <- struct{}{}:
		default: // recording has begun already
		}
	}, func(_, payload string) error {
		select {
		case inbox <- payload:
			return nil
		default:
			return errTooMany
		}
	})
	cancel(err)
	stop()
	<-recorded
	return errors.Join(context.Cause(ctx), sub.Close())
}

// record records the tasks that are heard, and the time in which the watcher listened.
func (w *Watcher) record(ctx context.Context, inbox <-chan string) error {
	s, err := begin(ctx, w.pool)
	if err != nil {
		return err
	}
	w.log.Info("watching what is sent", "channel", w.prefix+"celeryev/task.*")
	tick := time.NewTicker(every)
	defer tick.Stop()
	heard := map[string]task{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case payload := <-inbox:
			w.read(payload, heard)
		case <-tick.C:
			if err := s.keep(ctx, w.pool, heard); err != nil {
				return err
			}
			clear(heard)
			if !w.active() {
				return errIdle
			}
		}
	}
}

// read adds the tasks of a message to heard.
func (w *Watcher) read(payload string, heard map[string]task) {
	events, err := celery.ParseEvents([]byte(payload))
	if err != nil {
		w.log.Warn("cannot read an event", "err", err)
	}
	for _, e := range events {
		if t, ok := taskOf(e); ok {
			heard[e.TaskID] = heard[e.TaskID].and(t)
		}
	}
}
