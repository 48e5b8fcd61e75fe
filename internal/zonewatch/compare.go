package zonewatch

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/zone"
	"github.com/tactus-dev/tactus/internal/hostzones"
)

// usedZone is a zone that schedules use, with the data that the newest release so far had for it.
type usedZone struct {
	Timezone string
	Version  *string
	Data     []byte
}

// A trigger is text that we have written, in which a zone's name needs no escapes.
const usedZones = `
select u.timezone, z.version, z.data
from (
    select distinct substring(s.trigger from '"timezone":"([^"]+)"') as timezone from tactus.schedules s
        where s.deleted_at is null
) u left join tactus.zone_data z on z.timezone = u.timezone
where u.timezone is not null`

// compare records this release's data for each zone. The one process that records a change first also reports it.
func (w *Watch) compare(ctx context.Context) error {
	rows, err := w.pool.Query(ctx, usedZones)
	if err != nil {
		return fmt.Errorf("read zones: %w", err)
	}
	used, err := pgx.CollectRows(rows, pgx.RowToStructByPos[usedZone])
	if err != nil {
		return fmt.Errorf("read zones: %w", err)
	}
	for _, u := range used {
		ours := zone.File(u.Timezone)
		if ours == nil || u.Version != nil && !hostzones.Newer(w.version, *u.Version) {
			continue
		}
		var told *changed
		if u.Version != nil && !bytes.Equal(u.Data, ours) {
			if told, err = w.moves(ctx, u); err != nil {
				return fmt.Errorf("compare zone %s: %w", u.Timezone, err)
			}
		}
		first, err := w.note(ctx, u, ours, told)
		if err != nil {
			return fmt.Errorf("record zone %s: %w", u.Timezone, err)
		}
		if first && told != nil {
			w.tellMoved(told)
		}
	}
	return nil
}

// noteZone records a zone, and appends a zone.changed event to the log if the schema has that topic.
const noteZone = `
with noted as (
    insert into tactus.zone_data as z (timezone, version, data) values (@timezone, @version, @data)
    on conflict on constraint zone_data_pkey do update set version = excluded.version, data = excluded.data
    where z.version = @before
    returning timezone
),
event as (
    insert into tactus.outbox (topic, aggregate_id, version, type, data)
    select 'zone', id, 1 + (select coalesce(max(o.version), 0) from tactus.outbox o where o.topic = 'zone' and o.aggregate_id = id),
        'zone.changed', @event::text::json
    from noted, md5('zone ' || timezone) as hash, lateral (select hash::uuid as id) as aggregate
    where @event::text is not null and to_regclass('tactus.outbox_zone') is not null
    returning position
)
select (select count(*) from noted) > 0, (select count(*) from event)`

func (w *Watch) note(ctx context.Context, u usedZone, ours []byte, told *changed) (first bool, err error) {
	before, event := "", (*string)(nil)
	if u.Version != nil {
		before = *u.Version
	}
	if told != nil {
		data, err := json.Marshal(told)
		if err != nil {
			return false, err
		}
		text := string(data)
		event = &text
	}
	var events int64
	err = w.pool.QueryRow(ctx, noteZone, pgx.NamedArgs{
		"timezone": u.Timezone, "version": w.version, "data": ours, "before": before, "event": event,
	}).Scan(&first, &events)
	return first, err
}

// changed is the data of a zone.changed event.
type changed struct {
	Timezone  string  `json:"timezone"`
	From      string  `json:"from"` // the release before
	To        string  `json:"to"`
	Moved     int     `json:"moved_next_due"`
	Schedules []moved `json:"schedules"` // the first of the moved schedules
}

// moved is a schedule whose next due time is another instant in the new release.
type moved struct {
	ID   string    `json:"id"`
	Name string    `json:"name"`
	Was  time.Time `json:"was"`
	Is   time.Time `json:"is"`
}

const schedulesOfZone = `
select s.id::text, s.name, s.trigger from tactus.schedules s
where s.deleted_at is null and s.enabled and substring(s.trigger from '"timezone":"([^"]+)"') = @timezone`

// namedAtMost bounds how many schedules one event names. The event has their full number too.
const namedAtMost = 100

// moves compares the next due times of a zone's schedules under the two releases.
func (w *Watch) moves(ctx context.Context, u usedZone) (*changed, error) {
	old, err := time.LoadLocationFromTZData(u.Timezone, u.Data)
	if err != nil { // somebody may have changed the row by hand
		w.log.Warn("cannot compare a zone with its data in the former release", "timezone", u.Timezone, "err", err)
		return nil, nil
	}
	now := time.Now()
	rows, err := w.pool.Query(ctx, schedulesOfZone, pgx.NamedArgs{"timezone": u.Timezone})
	if err != nil {
		return nil, err
	}
	told := &changed{Timezone: u.Timezone, From: *u.Version, To: w.version, Schedules: []moved{}}
	var id, name, trigger string
	_, err = pgx.ForEachRow(rows, []any{&id, &name, &trigger}, func() error {
		was, is, ok := dueUnder(trigger, old, now)
		if !ok || was.Equal(is) {
			return nil
		}
		if told.Moved++; told.Moved <= namedAtMost {
			told.Schedules = append(told.Schedules, moved{id, name, was.UTC(), is.UTC()})
		}
		return nil
	})
	return told, err
}

func (w *Watch) tellMoved(c *changed) {
	for _, m := range c.Schedules {
		w.log.Warn("time zone data moved a due time", "schedule_id", m.ID, "name", m.Name, "timezone", c.Timezone,
			"was", m.Was.Format(time.RFC3339), "is", m.Is.Format(time.RFC3339))
	}
	w.moved.Add(float64(c.Moved))
	w.log.Warn("time zone data changed a zone", "timezone", c.Timezone, "from", c.From, "to", c.To, "moved_next_due",
		c.Moved)
}

// dueUnder returns when a trigger is due next, with the zone's former and present data.
func dueUnder(trigger string, old *time.Location, now time.Time) (was, is time.Time, ok bool) {
	t, err := domain.ParseTrigger(trigger)
	if err != nil || t.Timezone == "" {
		return was, is, false
	}
	ours, err := zone.Load(t.Timezone)
	if err != nil {
		return was, is, false
	}
	before, err := t.RecurrenceIn(old)
	if err != nil {
		return was, is, false
	}
	after, err := t.RecurrenceIn(ours)
	if err != nil {
		return was, is, false
	}
	was, _ = before.Next(now)
	is, _ = after.Next(now)
	return was, is, true
}
