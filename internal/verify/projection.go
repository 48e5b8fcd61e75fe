package verify

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/cursor"
	"github.com/tactus-dev/tactus/internal/projection"
)

// readSchedules records a fingerprint of each row.
func (c *checker) readSchedules(ctx context.Context, tx pgx.Tx) error {
	for r, err := range cursor.Rows[projection.Row](ctx, tx, "projection", projection.Select) {
		if err != nil {
			return fmt.Errorf("read schedules: %w", err)
		}
		c.report.Schedules++
		t := c.tallies.of(r.ID)
		t.rowVersion, t.row = uint32(r.Version), r.Fingerprint()
	}
	if err := c.readCalendars(ctx, tx); err != nil {
		return err
	}
	if err := c.readRules(ctx, tx); err != nil {
		return err
	}
	return c.readChains(ctx, tx)
}

// readCalendars records the version of each calendar, whose events stand among those of schedules.
func (c *checker) readCalendars(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, `select id, version from tactus.calendars`)
	if err != nil {
		return fmt.Errorf("read calendars: %w", err)
	}
	var id domain.ID
	var version int64
	_, err = pgx.ForEachRow(rows, []any{&id, &version}, func() error {
		c.tallies.of(id).rowVersion = uint32(version)
		return nil
	})
	if err != nil {
		return fmt.Errorf("read calendars: %w", err)
	}
	return nil
}

// rebuild applies an event. If the row that results has another fingerprint than the row in the table, it adds the
// former to doubtful.
func (c *checker) rebuild(e loggedEvent, doubtful map[domain.ID]projection.Row) {
	if e.Type.OfCalendar() {
		return
	}
	of := Problem{Kind: EventUnreadable, ScheduleID: e.ID, Version: e.Version}
	before := domain.Schedule{ID: e.ID, Version: e.Version - 1}
	after, err := domain.Apply(before,
		domain.Event{ScheduleID: e.ID, Version: e.Version, Type: e.Type, Data: e.Data, At: e.At})
	if err != nil {
		c.problem(of, "%v", err)
		return
	}
	t := c.tallies.of(e.ID)
	if int64(t.rowVersion) != e.Version {
		return
	}
	made, err := projection.Of(after)
	if err != nil {
		c.problem(of, "%v", err)
	} else if made.Fingerprint() != t.row {
		doubtful[e.ID] = made
	}
}

// compareRows compares doubtful rows column by column, because another release may have written the same values in
// another form.
func (c *checker) compareRows(ctx context.Context, tx pgx.Tx, doubtful map[domain.ID]projection.Row) error {
	if len(doubtful) == 0 {
		return nil
	}
	ids := make([]string, 0, len(doubtful))
	for id := range doubtful {
		ids = append(ids, id.String())
	}
	rows, err := tx.Query(ctx, projection.Select+` where id = any ($1::text[]::uuid[])`, ids)
	if err != nil {
		return fmt.Errorf("read schedules: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[projection.Row])
	if err != nil {
		return fmt.Errorf("read schedules: %w", err)
	}
	for _, is := range found {
		if differences := is.Differences(doubtful[is.ID]); len(differences) > 0 {
			c.problem(Problem{Kind: ProjectionDiffers, ScheduleID: is.ID, Version: is.Version}, "tactus.schedules: %s",
				strings.Join(differences, "; "))
		}
	}
	return nil
}

// compareProjection checks that a row has the version of the newest event.
func (c *checker) compareProjection(id domain.ID, t *tally) {
	of := Problem{Kind: ProjectionDiffers, ScheduleID: id, Version: int64(t.rowVersion)}
	switch {
	case t.rowVersion == t.last:
	case t.rowVersion == 0:
		of.Kind, of.Version = ProjectionMissing, int64(t.last)
		c.problem(of, "%s in the log, and no row in tactus.schedules", versions(1, t.last))
	case t.last == 0:
		of.Kind = ProjectionUnknown
		c.problem(of, "a row of version %d in tactus.schedules, and no event", t.rowVersion)
	default:
		c.problem(of, "tactus.schedules: version is %d, want %d", t.rowVersion, t.last)
	}
}
