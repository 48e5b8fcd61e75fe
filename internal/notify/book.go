package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/postgres"
)

// book caches the enabled rules. They are needed for every batch of happenings, and may take megabytes, so the book
// reads them again only after one has changed.
type book struct {
	pool  *pgxpool.Pool
	mu    sync.Mutex
	state string
	rules []domain.NotificationRule
}

const (
	living = `from tactus.notification_rules where deleted_at is null and enabled`

	// stateOfRules returns a text that differs after any change of a rule, even one made by hand.
	stateOfRules = `select coalesce(md5(string_agg(id::text || xmin::text, '' order by id)), '') ` + living

	livingRules = `select id, name, definition::text, updated_at ` + living + ` order by name`
)

// read returns the rules, which the caller must not change.
func (b *book) read(ctx context.Context) ([]domain.NotificationRule, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	state, err := postgres.Collect(ctx, b.pool, pgx.RowTo[string], stateOfRules)
	if err != nil {
		return nil, fmt.Errorf("read rules: %w", err)
	}
	if b.rules != nil && state[0] == b.state {
		return b.rules, nil
	}
	all, err := postgres.Collect(ctx, b.pool, func(row pgx.CollectableRow) (r domain.NotificationRule, err error) {
		var id domain.ID
		var name, definition string
		var updated time.Time
		if err := row.Scan(&id, &name, &definition, &updated); err != nil {
			return r, err
		}
		var kept keptRule
		if err := json.Unmarshal([]byte(definition), &kept); err != nil { // made by hand
			return domain.NotificationRule{ID: id, Name: name}, nil
		}
		r = kept.NotificationRule
		r.SetBy = kept.SetBy
		r.ID, r.Name, r.UpdatedAt = id, name, updated.UTC()
		return r, nil
	}, livingRules)
	if err != nil {
		return nil, fmt.Errorf("read rules: %w", err)
	}
	if all == nil {
		all = []domain.NotificationRule{}
	}
	b.state, b.rules = state[0], all // the state from before the read: a change since then is found the next time
	return all, nil
}
