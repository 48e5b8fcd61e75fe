package verify

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/projection"
)

// readRules compares notification rules and backfills with their events, which no stream carries.
func (c *checker) readRules(ctx context.Context, tx pgx.Tx) error {
	differ, err := projection.Rules(ctx, tx)
	if err != nil {
		return err
	}
	for _, d := range differ {
		c.problem(Problem{Kind: kindOf(d.Version, d.Is), ScheduleID: d.ID, Version: d.Version}, "%s", d.What[0])
	}
	open, err := projection.Backfills(ctx, tx)
	if err != nil {
		return err
	}
	for _, d := range open {
		c.problem(Problem{Kind: kindOf(d.Version, d.Is), ScheduleID: d.ID, Version: d.Version}, "%s", d.What[0])
	}
	return nil
}

// kindOf returns the kind of problem if a row and its newest event have these versions. 0 means that there is no event,
// or no row.
func kindOf(event, row int64) string {
	switch {
	case event == 0:
		return ProjectionUnknown
	case row == 0:
		return ProjectionMissing
	}
	return ProjectionDiffers
}

// brokenChains selects rules and backfills whose versions do not follow each other in the log.
const brokenChains = `
select topic, aggregate_id, max(version), count(*), count(distinct version) from tactus.outbox
where topic in ('rule', 'backfill') group by topic, aggregate_id having count(*) <> max(version) or count(distinct version) <> count(*)
order by aggregate_id limit 1000`

// readChains checks that each version of a rule and of a backfill has one event.
func (c *checker) readChains(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, brokenChains)
	if err != nil {
		return fmt.Errorf("read versions: %w", err)
	}
	var topic string
	var id domain.ID
	var last, events, versions int64
	_, err = pgx.ForEachRow(rows, []any{&topic, &id, &last, &events, &versions}, func() error {
		of := Problem{Kind: VersionGap, ScheduleID: id, Version: last}
		if versions < events {
			of.Kind = VersionTwice
		}
		c.problem(of, "the %s has %d events for its %d versions", topic, events, last)
		return nil
	})
	if err != nil {
		return fmt.Errorf("read versions: %w", err)
	}
	return nil
}
