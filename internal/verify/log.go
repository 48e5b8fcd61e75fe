package verify

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/cursor"
	"github.com/tactus-dev/tactus/internal/projection"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
	"github.com/tactus-dev/tactus/outbox"
)

// loggedEvent is an event of the log, with the snapshots that its transaction is visible in.
type loggedEvent struct {
	Position          int64
	ID                domain.ID
	Version           int64
	Type              domain.EventType
	Data              json.RawMessage
	At                time.Time
	Old               bool // written before the epoch
	InPublishedBefore bool // the next four: in the snapshots of the two edges
	InPublished       bool
	InTrimmedBefore   bool
	InTrimmed         bool
	Before            bool // committed before the wait for the relay
}

var readLog = `
select position, aggregate_id, version, type, data, ` + sqlexpr.OccurredAt + `,
    ` + sqlexpr.BeforeOpening("$6", "$7::pg_snapshot", "$8::text::int8range[]") + `,
    pg_visible_in_snapshot(xid, $1::pg_snapshot), pg_visible_in_snapshot(xid, $2::pg_snapshot),
    pg_visible_in_snapshot(xid, $3::pg_snapshot), pg_visible_in_snapshot(xid, $4::pg_snapshot),
    pg_visible_in_snapshot(xid, $5::pg_snapshot)
from tactus.outbox where topic = 'schedule' order by position`

// readLog reads the events in the order of positions, which for each schedule is the order of versions.
func (c *checker) readLog(ctx context.Context, tx pgx.Tx, before outbox.Snapshot) error {
	late := int64(0)
	for page, err := range cursor.Pages[loggedEvent](ctx, tx, "log", readLog,
		c.published.previous, c.published.snapshot, c.trimmed.previous, c.trimmed.snapshot, before, c.life.Floor, c.life.Late, c.life.Seen) {
		if err != nil {
			return fmt.Errorf("read log: %w", err)
		}
		doubtful := map[domain.ID]projection.Row{}
		for _, e := range page {
			if c.event(e) && (e.Before || e.Old) {
				late++
			}
			c.rebuild(e, doubtful)
		}
		if err := c.compareRows(ctx, tx, doubtful); err != nil {
			return err
		}
	}
	if late > 0 && c.config.Wait > 0 {
		c.problem(Problem{Kind: RelayBehind},
			"%d events that were committed %s ago are not in the stream: is the relay running?", late, c.config.Wait)
	}
	return nil
}

// event records one event of the log, and reports whether it is still to be published.
func (c *checker) event(e loggedEvent) (pending bool) {
	c.report.Events++
	c.found(e)
	t := c.tallies.of(e.ID)
	of := Problem{Kind: VersionGap, ScheduleID: e.ID, Version: e.Version}
	switch {
	case e.Version < 1 || e.Version > math.MaxUint32:
		c.problem(of, "version %d is out of range", e.Version)
		return false
	case e.Version <= int64(t.last):
		of.Kind = VersionTwice
		c.problem(of, "version %d comes after version %d", e.Version, t.last)
	case e.Version > int64(t.last)+1:
		c.problem(of, "version %d comes after version %d", e.Version, t.last)
	}
	version := uint32(e.Version)
	t.odd = t.odd || version != t.last+1
	t.last = max(t.last, version)
	if t.newestLow <= version && version <= t.high {
		t.content -= hash(e.Version, e.Type, e.Data)
	}
	if c.trimmed.covers(side{e.Position, e.Old, e.InTrimmedBefore, e.InTrimmed}) {
		t.trimmed = max(t.trimmed, version)
		c.report.Trimmed++
	}
	if !c.published.covers(side{e.Position, e.Old, e.InPublishedBefore, e.InPublished}) {
		c.report.Unpublished++
		return true
	}
	t.published = max(t.published, version)
	return false
}

// compareEvents compares the versions of one schedule in the stream and in the log. The stream must have the versions
// from the first that cannot have been trimmed up to the last that the relay has published.
func (c *checker) compareEvents(id domain.ID, t *tally) {
	if t.high == 0 {
		c.missing(id, t.trimmed+1, t.published)
		return
	}
	trimmed := min(t.trimmed, t.low-1)
	passedOver := c.tallies.spans[id]
	for _, s := range passedOver {
		c.missing(id, max(s.from, trimmed+1), min(s.to, t.published))
	}
	c.missing(id, trimmed+1, min(t.low-1, t.published))
	c.missing(id, max(t.high, t.trimmed)+1, t.published)
	if t.newest > 0 || c.ahead != nil {
		return // the schedule's newest entry is of an earlier epoch, whose events PostgreSQL may have lost
	}
	of := Problem{Kind: EventUnknown, ScheduleID: id, Version: int64(t.high)}
	if t.high > t.last {
		c.problem(of, "the stream has %s, but the log has none after %d", versions(t.last+1, t.high), t.last)
	} else if t.content != 0 && !t.odd && len(passedOver) == 0 {
		of.Kind = EventDiffers
		c.problem(of, "the stream and the log differ in one of %s", versions(t.newestLow, t.high))
	}
}

// missing reports versions that are missing from the stream, except those that were set aside.
func (c *checker) missing(id domain.ID, from, to uint32) {
	for _, aside := range c.aside[id] {
		if from <= aside && aside <= to {
			c.report.SetAside++
			c.missing(id, from, aside-1)
			from = aside + 1
		}
	}
	if from <= to {
		c.problem(Problem{Kind: EventMissing, ScheduleID: id, Version: int64(from)},
			"%s in Postgres and not in the stream", versions(from, to))
	}
}

func versions(from, to uint32) string {
	if from == to {
		return fmt.Sprintf("version %d", from)
	}
	return fmt.Sprintf("versions %d to %d", from, to)
}
