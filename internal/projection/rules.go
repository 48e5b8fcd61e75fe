package projection

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
	"github.com/tactus-dev/tactus/outbox"
)

// rulesAndEvents selects each notification rule's row, and the data of its newest event. The rule without a name is a
// setting, and has no events.
const rulesAndEvents = `
select coalesce(e.aggregate_id, r.id), coalesce(e.version, 0), coalesce(r.version, 0), coalesce(r.name, ''),
    coalesce(r.enabled, false), coalesce(r.states, '{}'), r.definition::text, r.deleted_at is not null, e.data::text,
    coalesce(e.type, '') = 'rule.deleted'
from (
    select distinct on (aggregate_id) aggregate_id, version, type, data
    from tactus.outbox where topic = 'rule' order by aggregate_id, version desc, position desc
) e
full join (select * from tactus.notification_rules where name <> '') r on r.id = e.aggregate_id`

const anyRules = `select to_regclass('tactus.notification_rules') is not null`

type ruleState struct {
	ID               domain.ID
	Version, Is      int64
	Name             string
	Enabled          bool
	States           []string
	Definition, Data *string
	Deleted, Gone    bool // by its row, and by its event
}

// toldRule is the data of an event of a rule.
type toldRule struct {
	Name    string          `json:"name"`
	Enabled bool            `json:"enabled"`
	Rule    json.RawMessage `json:"rule"`

	states []string
}

// RuleDifference is a notification rule whose row differs from its events.
type RuleDifference struct {
	Difference
	told toldRule
	gone bool
}

// Rules compares the notification rules with their events. A schema of the release before has none.
func Rules(ctx context.Context, q postgres.Querier) (all []RuleDifference, err error) {
	if there, err := postgres.IsTrue(ctx, q, anyRules); err != nil || !there {
		return nil, err
	}
	states, err := postgres.Collect(ctx, q, func(row pgx.CollectableRow) (s ruleState, err error) {
		return s, row.Scan(&s.ID, &s.Version, &s.Is, &s.Name, &s.Enabled, &s.States, &s.Definition, &s.Deleted,
			&s.Data, &s.Gone)
	}, rulesAndEvents)
	if err != nil {
		return nil, fmt.Errorf("compare notification rules: %w", err)
	}
	slices.SortFunc(states, func(a, b ruleState) int { return strings.Compare(a.Name, b.Name) })
	for _, s := range states {
		told, what := s.told()
		if what == "" {
			continue
		}
		all = append(all, RuleDifference{Difference{ID: s.ID, Version: s.Version, Is: s.Is, What: []string{what}}, told, s.Gone})
	}
	return all, nil
}

// told returns the rule in the newest event, and how the row differs from it; nothing if it does not differ.
func (s ruleState) told() (told toldRule, what string) {
	if s.Data == nil {
		return told, "notification rule " + s.Name + ": there is a row and no event"
	}
	var rule domain.NotificationRule
	if err := json.Unmarshal([]byte(*s.Data), &told); err != nil {
		return toldRule{}, "notification rule " + s.Name + " cannot be rebuilt: " + err.Error()
	}
	if err := json.Unmarshal(told.Rule, &rule); err != nil {
		return toldRule{}, "notification rule " + told.Name + " cannot be rebuilt: " + err.Error()
	}
	if told.states = rule.States(); told.states == nil {
		told.states = []string{}
	}
	switch {
	case s.Definition == nil:
		return told, "notification rule " + told.Name + ": there are events and no row"
	case s.Name != told.Name || s.Enabled != told.Enabled || s.Is != s.Version || s.Deleted != s.Gone ||
		!slices.Equal(s.States, told.states) || *s.Definition != string(told.Rule):
		return told, "notification rule " + told.Name + ": its row differs from its event"
	}
	return told, ""
}

// mendRule writes a row from an event, and adds an event with a new version. Secrets are in no event, so lost ones have
// to be entered again.
const mendRule = `
with changed as (
    insert into tactus.notification_rules as r (id, name, version, enabled, states, definition, created_at, updated_at, deleted_at)
    select @id, @name, @version::bigint, @enabled::boolean, @states::text[], @definition::text::json, clock_timestamp(),
        clock_timestamp(), case when @gone::boolean then clock_timestamp() end
    on conflict (id) do update set name = excluded.name, version = excluded.version, enabled = excluded.enabled,
        states = excluded.states, definition = excluded.definition, updated_at = excluded.updated_at,
        deleted_at = excluded.deleted_at
    where r.version = @is::bigint
    returning *
)` + sqlexpr.RuleEvent

// rules compares the notification rules with their events, and corrects them with config.Swap. It leaves a row without
// an event as it is, because nothing says what the row should be.
func (r *Result) rules(ctx context.Context, pool *pgxpool.Pool, config Config) error {
	all, err := Rules(ctx, pool)
	if err != nil {
		return err
	}
	for _, d := range all {
		r.Different++
		if config.Tell != nil {
			if err := config.Tell(d.Difference); err != nil {
				return err
			}
		}
		if !config.Swap || d.told.Name == "" {
			continue
		}
		actor, reason := outbox.ActorOf(ctx)
		tag, err := pool.Exec(ctx, mendRule, pgx.NamedArgs{
			"id": d.ID, "name": d.told.Name, "version": max(d.Version, d.Is) + 1, "is": d.Is, "enabled": d.told.Enabled,
			"states": d.told.states, "definition": string(d.told.Rule), "gone": d.gone,
			"actor": postgres.OrNull(actor), "reason": postgres.OrNull(reason),
		})
		if err != nil {
			return fmt.Errorf("mend notification rule %s: %w", d.told.Name, err)
		}
		r.Replaced += tag.RowsAffected()
	}
	return nil
}
