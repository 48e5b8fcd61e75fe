package verify

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/cursor"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// Window is a time in which every due time is checked.
type Window struct {
	From, To time.Time
	Late     time.Duration // how long a due time may take to be settled: younger due times are not checked
	Away     time.Duration // how long there may have been no beat: due times so shortly before an edit need not be settled (0: Late)
}

const (
	readHistories = `
select aggregate_id, version, type, data, ` + sqlexpr.OccurredAt + ` from tactus.outbox where topic = 'schedule' and type not like 'calendar.%' order by aggregate_id, version`

	// A reason that was recorded at a time which is still to come is none: a clock was ahead, and a beat withdraws it.
	readSettled = `
select schedule_id, id, schedule_version, due_at, until, status not in ('missed', 'skipped', 'excluded') from tactus.runs
where kind = 'scheduled' and due_at <= $2::timestamptz and coalesce(until, due_at) >= $1::timestamptz
    and (status not in ('missed', 'skipped', 'excluded') or fired_at <= now())
order by schedule_id, due_at`

	// Until then a beat in shadow mode watched another beat, and no due time had to fire here.
	readShadow = `select coalesce(max(watermark), '-infinity') from tactus.leases where name in ('shadow', 'switch')`

	firedSince = `
select count(*), max(due_at) from tactus.runs
where schedule_id = $1 and kind = 'scheduled' and status not in ('missed', 'skipped', 'excluded') and schedule_version between $2 and $3`
)

// readDueTimes merges the histories of all schedules with their runs, and checks each schedule.
func (c *checker) readDueTimes(ctx context.Context, tx pgx.Tx) error {
	w := *c.config.Window
	var began time.Time
	if err := tx.QueryRow(ctx, `select now()`).Scan(&began); err != nil {
		return fmt.Errorf("read the clock: %w", err)
	}
	if latest := began.Add(-w.Late); w.To.IsZero() || w.To.After(latest) {
		w.To = latest
	}
	w.Away = cmp.Or(w.Away, w.Late)
	if err := c.readShadow(ctx, tx, &w); err != nil {
		return err
	}
	if err := c.readCalendarEvents(ctx, tx); err != nil {
		return err
	}
	runs, stop := iter.Pull2(cursor.Rows[settledRun](ctx, tx, "settled", readSettled, w.From, w.To))
	defer stop()
	r := &runReader{next: runs}
	for h, err := range histories(cursor.Rows[pastEvent](ctx, tx, "histories", readHistories)) {
		if err != nil {
			return fmt.Errorf("read histories: %w", err)
		}
		of, err := r.of(h.id)
		if err != nil {
			return fmt.Errorf("read runs: %w", err)
		}
		if err := c.judge(ctx, tx, h, of, w); err != nil {
			return fmt.Errorf("read runs of %s: %w", h.id, err)
		}
	}
	return nil
}

// readShadow moves the beginning of the window to the end of the last shadow.
func (c *checker) readShadow(ctx context.Context, tx pgx.Tx, w *Window) error {
	var until pgtype.Timestamptz
	if err := tx.QueryRow(ctx, readShadow).Scan(&until); err != nil {
		return fmt.Errorf("read until when a beat was a shadow: %w", err)
	}
	if until.InfinityModifier == pgtype.Finite && until.Time.After(w.From) {
		w.From, c.report.ShadowUntil = until.Time.Add(time.Microsecond), &until.Time
	}
	return nil
}

// pastEvent is an event of the log.
type pastEvent struct {
	ID      domain.ID
	Version int64
	Type    domain.EventType
	Data    json.RawMessage
	At      time.Time
}

// history is the past of one schedule, as its events tell it.
type history struct {
	id     domain.ID
	chains []chain
	err    error // why the rest could not be applied
}

// histories groups events by schedule.
func histories(events iter.Seq2[pastEvent, error]) iter.Seq2[history, error] {
	return func(yield func(history, error) bool) {
		var h history
		for e, err := range events {
			if err != nil {
				yield(h, err)
				return
			}
			if e.ID != h.id {
				if !h.id.IsZero() && !yield(h, nil) {
					return
				}
				h = history{id: e.ID}
			}
			h.add(e)
		}
		if !h.id.IsZero() {
			yield(h, nil)
		}
	}
}

func (h *history) add(e pastEvent) {
	if h.err != nil {
		return
	}
	before := domain.Schedule{ID: e.ID, Version: e.Version - 1} // missing versions are reported by event
	s, err := domain.Apply(before,
		domain.Event{ScheduleID: e.ID, Version: e.Version, Type: e.Type, Data: e.Data, At: e.At})
	if h.err = err; err == nil {
		h.chains = extend(h.chains, s, e.At)
	}
}

// runReader yields the runs of one schedule after the other, in the order of the histories.
type runReader struct {
	next  func() (settledRun, error, bool)
	ahead *settledRun
}

func (r *runReader) of(id domain.ID) (runs []settledRun, err error) {
	for {
		if r.ahead == nil {
			run, err, ok := r.next()
			if err != nil || !ok {
				return runs, err
			}
			r.ahead = &run
		}
		switch bytes.Compare(r.ahead.Schedule[:], id[:]) {
		case 1:
			return runs, nil
		case 0:
			runs = append(runs, *r.ahead)
		}
		r.ahead = nil
	}
}

// judge compares the due times that a schedule should have settled with its runs.
func (c *checker) judge(ctx context.Context, tx pgx.Tx, h history, runs []settledRun, w Window) error {
	of := Problem{Kind: DueMissing, ScheduleID: h.id}
	if h.err != nil {
		c.problem(of, "its events cannot be applied: %v", h.err)
		return nil
	}
	h.chains = c.byCalendars(h.chains)
	counted := map[*restore]bool{}
	excused := func(due time.Time) bool {
		r := c.lostWith(due)
		if r == nil {
			return false
		}
		if !counted[r] {
			counted[r] = true
			r.schedules++
		}
		r.lose(due)
		return true
	}
	for _, ch := range h.chains {
		lost, settled, overtaken := ch.unsettled(w.From, w.To, w.Away, runs, excused)
		c.report.DueTimes += settled + lost.n
		c.report.Overtaken += overtaken
		if ch.limited {
			if err := c.limit(ctx, tx, h.era(ch), &lost); err != nil {
				return err
			}
		}
		if of.Version = ch.last; lost.n > 0 {
			c.problem(of, "%d due times from %s to %s have neither a run nor a reason", lost.n, stamp(&lost.from),
				stamp(&lost.to))
		}
	}
	for _, run := range runs {
		c.judgeRun(h, run)
	}
	return nil
}

// era widens a chain to all versions with the same trigger: max_runs counts the runs of all of them.
func (h history) era(ch chain) chain {
	for _, other := range h.chains {
		if other.triggerSet.Equal(ch.triggerSet) {
			ch.first, ch.last = min(ch.first, other.first), max(ch.last, other.last)
			ch.mostRuns = max(ch.mostRuns, other.mostRuns) * min(ch.mostRuns, other.mostRuns, 1)
		}
	}
	return ch
}

// limit checks max_runs: it reports a schedule that had more runs, and forgives unsettled due times after the last one.
func (c *checker) limit(ctx context.Context, tx pgx.Tx, era chain, lost *gap) error {
	var fired int64
	var last *time.Time
	if err := tx.QueryRow(ctx, firedSince, era.schedule.String(), era.first, era.last).Scan(&fired, &last); err != nil {
		return err
	}
	if era.mostRuns > 0 && fired > era.mostRuns {
		c.problem(Problem{Kind: RunTooMany, ScheduleID: era.schedule, Version: era.last}, "%d runs, and max_runs is %d",
			fired, era.mostRuns)
	}
	if fired >= era.policy.MaxRuns && (last == nil || lost.from.After(*last)) {
		c.report.DueTimes -= lost.n
		*lost = gap{}
	}
	return nil
}

// judgeRun checks that a run was due by the version that it names. Both ends of a missed range must be due times.
func (c *checker) judgeRun(h history, run settledRun) {
	of := Problem{Kind: RunNotDue, ScheduleID: run.Schedule, RunID: run.ID, Version: run.Version}
	known, begins, ends := false, false, run.Until == nil
	for _, ch := range h.chains {
		if run.Version < ch.first || run.Version > ch.last {
			continue
		}
		known = true
		begins = begins || ch.due(run.Due)
		ends = ends || ch.due(*run.Until)
	}
	if known && begins && ends {
		return
	}
	if known {
		c.problem(of, "by version %d it was not due at %s", run.Version, stamp(&run.Due))
		return
	}
	c.problem(of, "version %d was not to fire, but has a run for %s", run.Version, stamp(&run.Due))
}
