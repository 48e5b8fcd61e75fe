package zonewatch

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/cron"
	"github.com/tactus-dev/tactus/domain/zone"
	"github.com/tactus-dev/tactus/internal/hostzones"
)

// usedZone is a zone that schedules are in, with what the newest release so far had for it.
type usedZone struct {
	Timezone string
	Version  *string
	Data     []byte
}

// The trigger of a schedule is a text of our own, in which a zone's name needs no escape.
const usedZones = `
select u.timezone, z.version, z.data
from (
    select distinct substring(s.trigger from '"timezone":"([^"]+)"') as timezone from tactus.schedules s where s.deleted_at is null
) u left join tactus.zone_data z on z.timezone = u.timezone
where u.timezone is not null`

// compare notes what this release has for each zone. What it moves is told by the one process that notes it first.
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
		first, err := w.note(ctx, u, ours)
		if err != nil {
			return fmt.Errorf("note zone %s: %w", u.Timezone, err)
		}
		if first && u.Version != nil && !bytes.Equal(u.Data, ours) {
			if err := w.tellMoved(ctx, u); err != nil {
				return fmt.Errorf("compare zone %s: %w", u.Timezone, err)
			}
		}
	}
	return nil
}

const noteZone = `
insert into tactus.zone_data as z (timezone, version, data) values (@timezone, @version, @data)
on conflict on constraint zone_data_pkey do update set version = excluded.version, data = excluded.data
where z.version = @before`

func (w *Watch) note(ctx context.Context, u usedZone, ours []byte) (first bool, err error) {
	before := ""
	if u.Version != nil {
		before = *u.Version
	}
	tag, err := w.pool.Exec(ctx, noteZone, pgx.NamedArgs{"timezone": u.Timezone, "version": w.version, "data": ours, "before": before})
	return tag.RowsAffected() == 1, err
}

const schedulesOfZone = `
select s.id::text, s.name, s.trigger from tactus.schedules s
where s.deleted_at is null and s.enabled and substring(s.trigger from '"timezone":"([^"]+)"') = @timezone`

// namedAtMost bounds the lines of one change; the last says how many there are in all.
const namedAtMost = 100

func (w *Watch) tellMoved(ctx context.Context, u usedZone) error {
	old, err := time.LoadLocationFromTZData(u.Timezone, u.Data)
	if err != nil {
		return err
	}
	now := time.Now()
	rows, err := w.pool.Query(ctx, schedulesOfZone, pgx.NamedArgs{"timezone": u.Timezone})
	if err != nil {
		return err
	}
	var id, name, trigger string
	moved := 0
	_, err = pgx.ForEachRow(rows, []any{&id, &name, &trigger}, func() error {
		was, is, ok := dueUnder(trigger, old, now)
		if !ok || was.Equal(is) {
			return nil
		}
		if moved++; moved <= namedAtMost {
			w.log.Warn("time zone data moved a due time", "schedule_id", id, "name", name, "timezone", u.Timezone,
				"was", was.Format(time.RFC3339), "is", is.Format(time.RFC3339))
		}
		return nil
	})
	w.moved.Add(float64(moved))
	w.log.Warn("time zone data changed a zone", "timezone", u.Timezone, "from", *u.Version, "to", w.version, "moved_next_due", moved)
	return err
}

// dueUnder is when a trigger is due next, in the zone as it was and as it is.
func dueUnder(trigger string, old *time.Location, now time.Time) (was, is time.Time, ok bool) {
	var t domain.Trigger
	if err := json.Unmarshal([]byte(trigger), &t); err != nil || t.Cron == "" {
		return was, is, false
	}
	spec, err := cron.Parse(t.Cron, cron.Options{Dialect: cron.Dialect(t.Dialect), Seconds: t.Seconds})
	if err != nil {
		return was, is, false
	}
	ours, err := zone.Load(t.Timezone)
	if err != nil {
		return was, is, false
	}
	gap, overlap := cron.GapPolicy(t.Gap), cron.OverlapPolicy(t.Overlap)
	was, _ = spec.In(old, gap, overlap).Next(now)
	is, _ = spec.In(ours, gap, overlap).Next(now)
	return was, is, true
}
