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
)

// calendarsAndEvents selects each calendar's row, and the data of its newest event. On a schema whose calendars have no
// source, the name is that of what is joined.
const calendarsAndEvents = `
select coalesce(e.aggregate_id, c.id), coalesce(e.version, 0), coalesce(c.version, 0), coalesce(c.name, ''), coalesce(c.description, ''),
    c.days::text, (select source from (select c.*) own), c.deleted_at is not null, e.data::text, coalesce(e.type, '') = 'calendar.deleted'
from (
    select distinct on (aggregate_id) aggregate_id, version, type, data
    from tactus.outbox where topic = 'schedule' and type like 'calendar.%' order by aggregate_id, version desc, position desc
) e
full join tactus.calendars c on c.id = e.aggregate_id,
    (select null::text as source) without`

type calendarState struct {
	ID                domain.ID
	Version, Is       int64
	Name, Description string
	Days, Data        *string
	Source            *string
	Deleted, Gone     bool // by its row, and by its event
}

// calendars compares the calendars with their events, and corrects them with config.Swap: before the schedules, which
// may name only calendars that are there. It leaves a row without an event as it is, because nothing says what the row
// should be.
func (r *Result) calendars(ctx context.Context, pool *pgxpool.Pool, config Config) error {
	rows, err := pool.Query(ctx, calendarsAndEvents)
	if err != nil {
		return fmt.Errorf("compare calendars: %w", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (s calendarState, err error) {
		return s, row.Scan(&s.ID, &s.Version, &s.Is, &s.Name, &s.Description, &s.Days, &s.Source, &s.Deleted, &s.Data,
			&s.Gone)
	})
	if err != nil {
		return fmt.Errorf("compare calendars: %w", err)
	}
	slices.SortFunc(all, func(a, b calendarState) int { return strings.Compare(a.Name, b.Name) })
	for _, s := range all {
		told, what := s.told()
		if what == "" {
			continue
		}
		r.Different++
		if config.Tell != nil {
			if err := config.Tell(Difference{ID: s.ID, Version: s.Version, Is: s.Is, What: []string{what}}); err != nil {
				return err
			}
		}
		if !config.Swap || told.Name == "" {
			continue
		}
		days, err := json.Marshal(told.Days)
		if err != nil {
			return fmt.Errorf("encode days: %w", err)
		}
		replaced, err := s.mend(ctx, pool, told, string(days))
		if err != nil {
			return fmt.Errorf("mend calendar %s: %w", told.Name, err)
		}
		r.Replaced += replaced
	}
	return nil
}

// told returns the calendar in the newest event, and how the row differs from it; nothing if it does not differ.
func (s calendarState) told() (told domain.Calendar, what string) {
	if s.Data == nil {
		return told, "calendar " + s.Name + ": there is a row and no event"
	}
	if err := json.Unmarshal([]byte(*s.Data), &told); err != nil {
		return domain.Calendar{}, "calendar " + s.Name + " cannot be rebuilt: " + err.Error()
	}
	days, err := json.Marshal(told.Days)
	same := err == nil && s.Days != nil && string(days) == *s.Days && s.Name == told.Name && s.Is == s.Version &&
		s.Description == told.Description && alike(s.Source, told.Source) && s.Deleted == s.Gone
	if same {
		return told, ""
	}
	return told, "calendar " + told.Name + ": its row differs from its event"
}

func alike(a, b *string) bool { return a == b || a != nil && b != nil && *a == *b }
