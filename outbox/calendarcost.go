package outbox

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/calendar"
	"github.com/tactus-dev/tactus/internal/postgres"
)

// What calendars cost is bounded for all together (calendar.MaxCost): each beat holds all that schedules name, and
// compiles them when it loads. What one costs is not stored: it is found by compiling it, once for each version.

// costs are what calendars cost, by their ids.
type costs struct {
	lock  sync.Mutex
	known map[domain.ID]knownCost
}

type knownCost struct {
	version int64
	cost    int
}

var calendarCosts = costs{known: map[domain.ID]knownCost{}}

const (
	calendarVersions = `select id, version from tactus.calendars where deleted_at is null`
	daysByIDs        = `select id, version, days::text from tactus.calendars where id = any ($1::uuid[])`

	costsAtOnce = 20 // calendars in one query: each has 256 KiB at most
)

// checkCost refuses a calendar with which all calendars together cost more than they may; unless it costs no more than
// it did.
func checkCost(ctx context.Context, q Querier, id domain.ID, cost int) error {
	living, err := postgres.Collect(ctx, q, pgx.RowToStructByPos[struct {
		ID      domain.ID
		Version int64
	}], calendarVersions)
	if err != nil {
		return fmt.Errorf("read which calendars there are: %w", err)
	}
	versions := make(map[domain.ID]int64, len(living))
	for _, c := range living {
		versions[c.ID] = c.Version
	}
	others, before, err := calendarCosts.sum(ctx, q, versions, id)
	if err != nil || cost <= before || others+cost <= calendar.MaxCost {
		return err
	}
	const percent = calendar.MaxCost / 100
	return domain.Faults{{
		Kind: domain.Invalid, Code: calendar.CodeTooLargeTogether, Field: "/days",
		Message: fmt.Sprintf("all calendars together would have too many days and ranges, repetitions included: the others "+
			"take %d %% of what there is room for, and this one %d %%; let recurrences end (UNTIL) or begin later (from), "+
			"or delete calendars that no schedule uses", others/percent, max(cost/percent, 1)),
	}}
}

// sum returns what all calendars but one cost, and that one. It compiles those of which it does not know, as long as
// there is room for more.
func (c *costs) sum(
	ctx context.Context, q Querier, versions map[domain.ID]int64, but domain.ID,
) (others, own int, err error) {
	c.lock.Lock()
	defer c.lock.Unlock()
	for id := range c.known {
		if _, living := versions[id]; !living {
			delete(c.known, id)
		}
	}
	var unknown []domain.ID
	for id, version := range versions {
		switch known, there := c.known[id]; {
		case !there || known.version != version:
			unknown = append(unknown, id)
		case id == but:
			own = known.cost
		default:
			others += known.cost
		}
	}
	if i := slices.Index(unknown, but); i > 0 {
		unknown[0], unknown[i] = but, unknown[0]
	}
	for len(unknown) > 0 && (others <= calendar.MaxCost || unknown[0] == but) {
		n := min(len(unknown), costsAtOnce)
		found, err := postgres.Collect(ctx, q, pgx.RowToStructByPos[struct {
			ID      domain.ID
			Version int64
			Days    string
		}], daysByIDs, unknown[:n])
		if err != nil {
			return 0, 0, fmt.Errorf("read calendars: %w", err)
		}
		for _, row := range found {
			cost := costOf(row.Days)
			c.known[row.ID] = knownCost{row.Version, cost}
			if row.ID == but {
				own = cost
			} else {
				others += cost
			}
		}
		unknown = unknown[n:]
	}
	return others, own, nil
}

// costOf returns what days cost; nothing if they cannot be read, because nobody keeps them then.
func costOf(days string) int {
	set, err := compiled.Compile([]byte(days))
	if err != nil {
		return 0
	}
	return set.Cost()
}
