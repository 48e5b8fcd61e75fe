package main

import (
	"context"
	"errors"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/redeliver"
	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/room"
)

type redeliverCmd struct {
	databaseFlags
	redisFlags
	queueFlags
	DryRun    bool          `help:"Only show what is lost."`
	OlderThan time.Duration `default:"10m" help:"Only runs that were handed over at least this long ago: younger ones may still be on their way."`
	NewerThan time.Duration `default:"1h" help:"Only runs that were fired at most this long ago."`
	Schedule  string        `placeholder:"ID" help:"Only runs of one schedule."`
	Untracked bool          `help:"Include tasks that ignore their result, of which it is not known whether they have run."`
}

// Run hands over again the runs that the broker has lost.
func (c redeliverCmd) Run(ctx context.Context, to console) error {
	config, err := c.config()
	if err != nil {
		return err
	}
	if err := errors.Join(c.databaseFlags.validate(), c.redisFlags.validate()); err != nil {
		return err
	}
	broker, err := redis.ConnectBroker(c.broker().reveal())
	if err != nil {
		return usage("%v", c.broker().fault(err))
	}
	defer broker.Close()
	pool, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	var lost, again int64
	var waits room.Room
	open, unread, err := redeliver.Find(ctx, pool, broker, config, func(page []redeliver.Lost) error {
		lost += int64(len(page))
		for _, run := range page {
			say(to.out, "%s  due %s  queue %s  %s\n", run.Run, run.DueAt.UTC().Format(time.RFC3339),
				text(run.Queue), text(run.Name))
		}
		if c.DryRun {
			return nil
		}
		n, err := redeliver.Again(ctx, pool, config, &waits, page)
		again += n
		return err
	})
	if err != nil {
		return err
	}
	say(to.out, "%d runs were handed over and not heard of; the broker has lost %d of them\n", open, lost)
	if !c.DryRun {
		say(to.out, "%d are handed over again by the relay\n", again)
	}
	return reportUnread(to, unread)
}

// reportUnread prints the queues that could not be read, and returns an error if there are any.
func reportUnread(to console, unread []redeliver.Unread) error {
	for _, u := range unread {
		say(to.problems, "tactus: queue %s cannot be read, and its %d runs are left alone: %v\n", text(u.Queue),
			u.Runs, u.Err)
	}
	if len(unread) > 0 {
		return errReported
	}
	return nil
}

func (c redeliverCmd) config() (config redeliver.Config, err error) {
	config = redeliver.Config{
		Sink: celerySink, Celery: c.celery(), OlderThan: c.OlderThan, NewerThan: c.NewerThan, Untracked: c.Untracked,
	}
	if c.OlderThan < 0 || c.NewerThan <= c.OlderThan {
		return config, usage("--older-than %s --newer-than %s: want the first to be less than the second", c.OlderThan,
			c.NewerThan)
	}
	if c.Schedule != "" {
		if config.Schedule, err = domain.ParseID(c.Schedule); err != nil {
			return config, usage("--schedule %q: %v", c.Schedule, err)
		}
	}
	return config, nil
}
