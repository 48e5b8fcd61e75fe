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

// The cost of all calendars together is bounded (calendar.MaxCost), because each beat holds every calendar that a
// schedule names, and compiles them when it loads. The cost of a calendar is not stored: compiling it tells, once for
// each version.

// costs keeps the costs of calendars by their ids.
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

// checkCost refuses a calendar with which all calendars together would cost too much, unless it costs no more than its
// former version.
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

// sum returns the cost of all calendars but one, and that of the one. It compiles calendars whose cost it does not
// know, until the bound is reached.
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

// costOf returns the cost of a calendar's days; 0 if they cannot be read, because then no beat keeps them.
func costOf(days string) int {
	set, err := compiled.Compile([]byte(days))
	if err != nil {
		return 0
	}
	return set.Cost()
}
