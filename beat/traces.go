package beat

import (
	"context"
	"slices"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/postgres"
)

// Traces records what a beat does in traces. Its methods must not block, and may be called concurrently.
type Traces interface {
	// Synced records that a change which the feed brought has arrived in memory.
	Synced(Synced)
	// Samples reports whether the trace of a run is recorded. Fired is called for such runs only.
	Samples(run domain.ID) bool
	// Fired records that a run was committed.
	Fired(Fired)
}

// Synced is a change of a schedule or a calendar that was heard and has arrived in memory.
type Synced struct {
	Trace           string // the context (W3C's traceparent) in which it was written
	Schedule        domain.ID
	Version         int64
	Type            domain.EventType
	Heard, InMemory time.Time
}

// Fired is a run that was fired. Began and Ended are those of its statement.
type Fired struct {
	Run, Schedule domain.ID
	Due           time.Time
	Late          time.Duration // at the beginning, by PostgreSQL's clock
	Began, Ended  time.Time
}

// traced is the trace that a heard change belongs to.
type traced struct {
	context string
	heard   time.Time
}

// hear makes a notice of a message of the feed, with its trace if traces are recorded.
func (b *Beat) hear(m *message.Message) notice {
	n := parseEvent(m)
	if trace := m.Metadata.Get("traceparent"); b.cfg.Traces != nil && trace != "" && n.lost == "" {
		n.trace = &traced{trace, time.Now()}
	}
	return n
}

// traceSynced records the heard changes that have arrived in memory.
func (b *Beat) traceSynced() {
	for _, n := range b.inbox.traced {
		b.cfg.Traces.Synced(Synced{n.trace.context, n.id, n.version, n.event, n.trace.heard, time.Now()})
	}
	clear(b.inbox.traced)
	b.inbox.traced = b.inbox.traced[:0]
}

// traceFired records the runs that a statement has fired. The statement only returns how many they are. If these are
// fewer than it was given, the table tells which ones.
func (b *Beat) traceFired(ctx context.Context, decisions []memory.Decision, runs []domain.ID, out outcome,
	began time.Time,
) {
	ended, given := time.Now(), int64(0)
	var all []Fired
	for i := range decisions {
		d := &decisions[i]
		if d.Reason != "" {
			continue
		}
		if given++; b.cfg.Traces.Samples(runs[i]) {
			late := time.Duration(d.Decided-d.Fire) * time.Microsecond
			all = append(all, Fired{runs[i], d.Schedule, time.UnixMicro(d.Due), late, began, ended})
		}
	}
	if given != out.Fired {
		all = b.onlyFired(ctx, all)
	}
	for _, f := range all {
		b.cfg.Traces.Fired(f)
	}
}

// firedSQL finds those of some runs that were fired: they have a row, and neither wait nor have a status of runs that
// do not fire.
const firedSQL = `
select r.id from unnest((select @ids::uuid[])) as w (id) join tactus.runs r on r.id = w.id
where r.due_at >= @first::timestamptz and r.due_at <= @last::timestamptz
    and r.status not in ('missed', 'skipped', 'excluded') and not r.waiting`

// onlyFired returns those of some runs that were fired; none if the query fails.
func (b *Beat) onlyFired(ctx context.Context, runs []Fired) []Fired {
	if len(runs) == 0 {
		return nil
	}
	ids := make([]domain.ID, len(runs))
	for i, f := range runs {
		ids[i] = f.Run
	}
	byDue := func(f, g Fired) int { return f.Due.Compare(g.Due) }
	fired, err := postgres.Collect(ctx, b.pool, pgx.RowTo[domain.ID], firedSQL, named{
		"ids": ids, "first": slices.MinFunc(runs, byDue).Due, "last": slices.MaxFunc(runs, byDue).Due,
	})
	if err != nil {
		b.log.Debug("traces lack what was fired", "err", err)
	}
	did := make(map[domain.ID]bool, len(fired))
	for _, id := range fired {
		did[id] = true
	}
	return slices.DeleteFunc(runs, func(f Fired) bool { return !did[f.Run] })
}
