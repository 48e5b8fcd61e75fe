package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/outbox"
)

// writersAtOnce lists the numbers of connections for which the write rate is measured.
var writersAtOnce = []int{1, 8, 32}

// writesEach is how many schedules each connection writes in a round.
const writesEach = 400

// writesGoal is the goal for the ratio to the rate of the bare upsert.
const writesGoal = 0.75

// Writes compares a change, with its event, version and bell, with an upsert of the same row into a table of the same
// shape and indexes.
func Writes(ctx context.Context, l *Lab) (figures []Figure, err error) {
	pool, drop, err := l.Database(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, drop()) }()
	if _, err := pool.Exec(ctx, `create schema bare; create table bare.schedules (like tactus.schedules including all)`); err != nil {
		return nil, fmt.Errorf("create the peer's table: %w", err)
	}
	store := outbox.NewStore(pool, "UTC", handover.Limits{}.Check)
	for _, n := range writersAtOnce {
		each := l.Size(writesEach)
		f, err := l.Compare(ctx, fmt.Sprintf("write rate to the bare upsert, %d connections", n), AtLeast(writesGoal),
			Timed(n*each, func(ctx context.Context) error {
				return together(ctx, n, each, func(ctx context.Context) error {
					_, err := store.Create(ctx, written(), "", nil)
					return err
				})
			}),
			Timed(n*each, func(ctx context.Context) error {
				return together(ctx, n, each, func(ctx context.Context) error { return upsertBare(ctx, pool) })
			}))
		if err != nil {
			return figures, err
		}
		figures = append(figures, f)
	}
	return figures, nil
}

// together calls a function on each of n connections, the same number of times.
func together(ctx context.Context, n, each int, do func(context.Context) error) error {
	group, ctx := errgroup.WithContext(ctx)
	for range n {
		group.Go(func() error {
			for range each {
				if err := do(ctx); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// written returns a schedule with a new name.
func written() domain.Definition {
	return domain.Definition{
		Name: "s-" + outbox.NewID().String(), CronExpression: "*/5 * * * *", TaskName: "app.report",
		Queue: "q", Kwargs: json.RawMessage(`{"account": 17, "kind": "daily"}`), Category: "reports", Tags: []string{"a", "b"},
	}
}

const bareUpsert = `
insert into bare.schedules (id, name, version, enabled, trigger, anchor, policy, effective_from, trigger_set_at, created_at, updated_at,
    category, tags, definition, task)
values ($1, $2, 1, true, $3, null, $4, now(), now(), now(), now(), $5, $6, $7, $8)
on conflict (name) where deleted_at is null do update set version = schedules.version + 1, enabled = excluded.enabled,
    trigger = excluded.trigger, policy = excluded.policy, updated_at = excluded.updated_at, category = excluded.category,
    tags = excluded.tags, definition = excluded.definition, task = excluded.task`

// upsertBare writes the row alone. It checks and encodes the definition in the same way.
func upsertBare(ctx context.Context, pool *pgxpool.Pool) error {
	id := outbox.NewID()
	d, _, err := written().Normalize(domain.Context{ID: id, Timezone: "UTC", Now: time.Now(), Check: handover.Limits{}.Check})
	if err != nil {
		return err
	}
	s := domain.Create(id, d).After
	definition, err := json.Marshal(s.Definition)
	if err != nil {
		return err
	}
	task, err := json.Marshal(s.Task())
	if err != nil {
		return err
	}
	trigger, _ := s.Trigger()
	_, err = pool.Exec(ctx, bareUpsert, id, s.Name, trigger.String(), s.Policy().String(), s.Category, s.Tags, string(definition), string(task))
	return err
}
