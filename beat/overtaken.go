package beat

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
	"github.com/tactus-dev/tactus/outbox"
)

// # What a change overtakes
//
// A due time may have passed without being settled when its schedule is disabled, deleted or given another trigger. It
// no longer fires, because a firing statement joins the current row of the schedule. Without the row described here,
// nothing would say what became of the due time.
//
//	due     1    2    3    4   | trigger changed at 4:30
//	        run  -    -    -   | the leader reads the change at 5:00
//	             └────┬────┘
//	             missed: overtaken by a change
//
// So the leader records such due times as missed before it applies the change to memory. It finds the old triggers in
// the events that memory does not have yet, and, at a takeover, also in the last event before those. The recorded range
// begins after the last due time that is known to be settled, so it does no harm if a successor does the same again.

// unreadEventsSQL reads those events of some schedules that a snapshot does not show.
var unreadEventsSQL = eventsSQL + ` and ` + notInSnapshotSQL + ` order by o.aggregate_id, o.version`

const eventsSQL = `
select o.aggregate_id, o.version, o.type, o.data, ` + sqlexpr.OccurredAt + ` from tactus.outbox o
where o.topic = 'schedule' and o.position <= @end::bigint and o.aggregate_id = any (@ids::uuid[])`

// eventsFromSeenSQL reads these events, and also the last event of each schedule that the snapshot shows.
var eventsFromSeenSQL = eventsSQL + ` and (` + notInSnapshotSQL + `
    or (o.aggregate_id, o.version) in (
        select o.aggregate_id, max(o.version) from tactus.outbox o
        where o.topic = 'schedule' and o.position <= @end::bigint and o.aggregate_id = any (@ids::uuid[])
            and not ` + notInSnapshotSQL + `
        group by o.aggregate_id))
order by o.aggregate_id, o.version`

// scanTimeout limits how long a takeover reads eventsFromSeenSQL, for which there is no index.
const scanTimeout = time.Second

// overtaken is the range of due times of a schedule, from first to last, that passed unsettled before a change.
type overtaken struct {
	id          domain.ID
	version     int64 // of the schedule before the change
	first, last time.Time
	limit       *int64    // max_runs; nil when there is none, or it is not known
	triggerSet  time.Time // the instant from which on runs count for max_runs
}

// recordOvertakenSQL records ranges as missed, except those of schedules that had used up their max_runs.
const recordOvertakenSQL = overtakenRunsSQL + `
    left join tactus.schedule_counts n on n.schedule_id = g.schedule_id and n.trigger_set_at = g.trigger_set_at
    where coalesce(n.fired < g.max_runs, true)` + overtakenHeldSQL

// recordUncountedSQL records ranges while another session has locked the table of the counts. It includes schedules
// that had used up their max_runs: telling them apart would mean to wait for the lock, and all other changes with it.
const recordUncountedSQL = overtakenRunsSQL + overtakenHeldSQL

const overtakenRunsSQL = `
with lease as materialized (
    select from tactus.leases where name = 'beat' and epoch = @epoch` + lockTimeoutSQL + ` for share
),
run as (
    insert into tactus.runs as r (id, schedule_id, due_at, until, kind, status, schedule_version, reason)
    select g.id, g.schedule_id, g.due_at, g.until, 'scheduled', 'missed', g.version, '` + domain.ReasonOvertaken + `'
    from lease, unnest(@runs::uuid[], @schedules::uuid[], @versions::bigint[], @due::timestamptz[],
        @until::timestamptz[], @set::timestamptz[], @most::bigint[])
        g (id, schedule_id, version, due_at, until, trigger_set_at, max_runs)`

const overtakenHeldSQL = `
    on conflict (schedule_id, due_at, slot) do nothing
    returning r as happened
),` + sqlexpr.Tell + `run` + sqlexpr.Told + `
select exists (select from lease)`

// mayOvertake reports whether a change of a schedule may have left unsettled due times behind. effective is the
// schedule's effective_from after the change, or nil if it may not fire any more.
func (b *Beat) mayOvertake(id domain.ID, effective *memory.Micros) bool {
	if !b.lease.leading || b.cfg.Shadow || b.resync.foreign() {
		return false
	}
	kept, known := b.memory.Find(id)
	heard := b.syncs.pending[id]
	switch {
	case known && effective != nil && *effective == kept.Effective: // the due times are the same
		return false
	case known && heard <= int64(kept.Version)+1: // a single change: was anything due before it?
		return kept.Due <= b.clock.now().UnixMicro() || b.memory.Awaits(id)
	default:
		return known || heard > 1
	}
}

// settleOvertaken records the due times that changes have overtaken. It is called before the changes are applied to
// memory.
func (b *Beat) settleOvertaken(ctx context.Context, ids []domain.ID) error {
	if len(ids) == 0 {
		return nil
	}
	settled, err := b.lastSettled(ctx, ids)
	if err != nil {
		return err
	}
	if b.unread.mayRead() {
		found, err := b.findOvertaken(ctx, settled, unreadEventsSQL, b.polls.inMemory, ids)
		if err == nil {
			return b.record(ctx, found)
		}
		if !postgres.LockTimedOut(err) {
			return err
		}
		b.eventsLocked(ctx, err)
	}
	found, err := b.overtakenInMemory(ctx, settled, ids)
	if err != nil {
		return err
	}
	return b.record(ctx, found)
}

// settleOvertakenBefore records the due times that were overtaken by changes which the predecessor had not read.
func (b *Beat) settleOvertakenBefore(ctx context.Context, snapshot string, ids []domain.ID) error {
	if len(ids) == 0 || b.cfg.Shadow {
		return nil
	}
	within, cancel := context.WithTimeout(ctx, scanTimeout)
	defer cancel()
	settled, err := b.lastSettled(within, ids)
	var found []overtaken
	if err == nil {
		found, err = b.findOvertaken(within, settled, eventsFromSeenSQL, snapshot, ids)
	}
	if err == nil {
		err = b.record(within, found)
	}
	if err != nil && within.Err() != nil && ctx.Err() == nil {
		b.log.Warn("what changes overtook before the takeover is not recorded: the log is too long to look", "schedules", len(ids))
		return nil
	}
	return err
}

// findOvertaken finds overtaken due times by means of the events that a query returns.
func (b *Beat) findOvertaken(
	ctx context.Context, settled map[domain.ID]time.Time, eventsSQL, snapshot string, ids []domain.ID,
) (found []overtaken, err error) {
	var of []scheduleEvent // of one schedule at a time: those of all may not fit into memory
	var e scheduleEvent
	err = b.readEvents(ctx, eventsSQL, named{"ids": ids, "from": snapshot}, func(rows pgx.Rows) error {
		_, err := pgx.ForEachRow(rows, []any{&e.ID, &e.Version, &e.Type, &e.Data, &e.At}, func() error {
			if len(of) > 0 && of[0].ID != e.ID {
				found = append(found, b.overtakenBy(of, settled[of[0].ID])...)
				of = of[:0]
			}
			of, e = append(of, e), scheduleEvent{} // the next event must not be scanned into this one's data
			return nil
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read changes: %w", err)
	}
	if len(of) > 0 {
		found = append(found, b.overtakenBy(of, settled[of[0].ID])...)
	}
	return found, nil
}

// scheduleEvent is a row of eventsSQL.
type scheduleEvent struct {
	ID      domain.ID
	Version int64
	Type    domain.EventType
	Data    json.RawMessage
	At      time.Time
}

// overtakenBy goes through the changes of one schedule, in order, and returns the due times that each of them has
// overtaken. The schedule before the first change is the one in memory, or the one in the first event if that is older
// than memory. Due times up to settled are settled.
func (b *Beat) overtakenBy(events []scheduleEvent, settled time.Time) (found []overtaken) {
	kept, known := b.memory.Find(events[0].ID)
	known = known && kept.Due != memory.Never && events[len(events)-1].Version > int64(kept.Version)
	var before domain.Schedule
	for _, e := range events {
		after, err := domain.Apply(domain.Schedule{ID: e.ID, Version: e.Version - 1},
			domain.Event{ScheduleID: e.ID, Version: e.Version, Type: e.Type, Data: e.Data, At: e.At})
		if err != nil {
			return found // the relay and verify report an event that cannot be read
		}
		runs := after.Runnable() && after.DeletedAt.IsZero()
		inMemory := known && e.Version > int64(kept.Version)
		switch {
		case inMemory && (!runs || after.EffectiveFrom.UnixMicro() != kept.Effective):
			policy, recurrence := b.memory.Rule(kept)
			since := later(settled, time.UnixMicro(kept.Due-1))
			if first, last, ok := policy.Range(recurrence, since, e.At); ok {
				found = append(found, overtaken{id: e.ID, version: e.Version - 1, first: first, last: last})
			}
			known = false
		case !inMemory && before.Version > 0 && (!runs || !after.EffectiveFrom.Equal(before.EffectiveFrom)):
			found = append(found, b.overtakenOf(before, settled, e.At)...)
		}
		if before = after; !runs {
			before = domain.Schedule{}
		}
	}
	return found
}

// overtakenOf returns the due times of a schedule that a change at an instant has overtaken.
func (b *Beat) overtakenOf(s domain.Schedule, settled, at time.Time) []overtaken {
	recurrence, err := s.Recurrence()
	if err != nil {
		return nil
	}
	policy := s.Policy()
	since := later(s.EffectiveFrom, settled)
	if w := b.lease.taken.Watermark; w != nil {
		since = later(since, w.Add(-policy.Delay()))
	}
	if switched := b.memory.SwitchedAt; switched != memory.Always {
		since = later(since, time.UnixMicro(switched))
	}
	first, last, ok := policy.Range(recurrence, since, at)
	if !ok {
		return nil
	}
	found := overtaken{id: s.ID, version: s.Version, first: first, last: last, triggerSet: s.TriggerSetAt}
	if policy.MaxRuns > 0 {
		found.limit = &policy.MaxRuns
	}
	return []overtaken{found}
}

// record writes overtaken due times to tactus.runs.
func (b *Beat) record(ctx context.Context, found []overtaken) error {
	if len(found) == 0 {
		return nil
	}
	var runs, schedules []domain.ID
	var versions []int64
	var due, until, set []time.Time
	var most []*int64
	for _, o := range found {
		runs, schedules, versions = append(runs, outbox.NewID()), append(schedules, o.id), append(versions, o.version)
		due, until, set = append(due, o.first), append(until, o.last), append(set, o.triggerSet)
		most = append(most, o.limit)
	}
	held, err := b.recordAll(ctx, named{
		"epoch": b.lease.term, "runs": runs, "schedules": schedules, "versions": versions, "due": due, "until": until,
		"set": set, "most": most,
	})
	if err != nil {
		return fmt.Errorf("record what was overtaken: %w", err)
	}
	if !held {
		b.lose("another")
		return nil
	}
	b.log.Info("changes overtook due times that were not settled", "schedules", len(found))
	return nil
}

// recordAll runs the statement of record, and reports whether this beat holds the lease.
func (b *Beat) recordAll(ctx context.Context, args named) (held bool, err error) {
	locked, err := b.looksLocked(ctx, countsUnreadableSQL)
	if err != nil {
		return false, err
	}
	sql := recordOvertakenSQL
	if locked {
		sql = recordUncountedSQL
	}
	err = b.beside.Do(ctx, sql, func(sql string) error { return b.pool.QueryRow(ctx, sql, planned, args).Scan(&held) })
	return held, err
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
