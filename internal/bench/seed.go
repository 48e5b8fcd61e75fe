package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
)

const seedSchedules = `
insert into tactus.schedules (id, name, version, enabled, trigger, anchor, policy, effective_from, trigger_set_at, created_at,
    updated_at, category, tags, definition, task)
select gen_random_uuid(), 's' || n, 1, true, k.trigger, k.anchor, k.policy, at, at, clock_timestamp(), at,
    coalesce(k.definition::json->>'category', ''), array(select json_array_elements_text(k.definition::json->'tags')),
    (k.definition::jsonb || jsonb_build_object('name', 's' || n))::text::json, k.task::json
from (select clock_timestamp() as at) one, generate_series(1, @n::bigint) n
join unnest(@triggers::text[], @anchors::timestamptz[], @policies::text[], @definitions::text[], @tasks::text[])
    with ordinality as k (trigger, anchor, policy, definition, task, place) on k.place = 1 + n % cardinality(@triggers::text[])`

// seed creates n schedules from definitions, in turn. They have the size of real ones, but no events.
func seed(ctx context.Context, pool *pgxpool.Pool, n int, definitions []domain.Definition) error {
	var triggers, policies, bodies, tasks []string
	var anchors []*time.Time
	for _, d := range definitions {
		d, _, err := d.Normalize(domain.Context{Now: time.Now()})
		if err != nil {
			return fmt.Errorf("seed: %w", err)
		}
		trigger, anchor := d.Trigger()
		body, errBody := json.Marshal(d)
		task, errTask := json.Marshal(d.Task())
		if errBody != nil || errTask != nil {
			return fmt.Errorf("seed: %w, %w", errBody, errTask)
		}
		triggers, policies, bodies, tasks = append(triggers, trigger.String()), append(policies, d.Policy().String()), append(bodies, string(body)), append(tasks, string(task))
		if anchor.IsZero() {
			anchors = append(anchors, nil)
		} else {
			anchors = append(anchors, &anchor)
		}
	}
	_, err := pool.Exec(ctx, seedSchedules, pgx.NamedArgs{"n": n, "triggers": triggers, "anchors": anchors, "policies": policies, "definitions": bodies, "tasks": tasks})
	if err != nil {
		return fmt.Errorf("seed %d schedules: %w", n, err)
	}
	return nil
}

// typical sets the members of a typical schedule, except its trigger.
func typical() domain.Definition {
	return domain.Definition{
		TaskName: "shop.orders.reconcile", Description: "Reconcile the orders of a shop with its payments.", Category: "shops",
		Kwargs: json.RawMessage(`{"shop_id":4711,"currency":"EUR","dry_run":false}`), Queue: "shops",
	}
}
