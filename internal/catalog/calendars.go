package catalog

import (
	"context"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/outbox"
)

// setsReader reads the calendars that schedules name, each once.
type setsReader struct {
	tx   pgx.Tx
	sets domain.CalendarSets
}

// of returns the calendars of a definition, or nil if it names none.
func (r *setsReader) of(ctx context.Context, d domain.Definition) (domain.CalendarSets, error) {
	_, names := d.Calendars()
	if len(names) == 0 {
		return nil, nil
	}
	if slices.ContainsFunc(names, func(name string) bool { return r.sets[name] == nil }) {
		found, err := outbox.SetsOf(ctx, r.tx, d)
		if err != nil {
			return nil, err
		}
		maps.Copy(r.sets, found)
	}
	return r.sets, nil
}
