package beat

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/tablelocks"
	"github.com/tactus-dev/tactus/outbox"
)

// While more is due than can be handed over, firing and handing over share the machine: firing waits for the sink that
// is behind, and records only as many runs as this sink has taken meanwhile. Without that, firing would take most of
// the machine, because it costs less than handing over, and the backlog would grow without end; the older a run is that
// waits in it, the more it costs to hand over. What is due and has not fired stays in memory, oldest first, and the
// misfire policy decides what becomes of it if it is late.
const (
	// freeBacklog is how many runs may wait to be handed over before firing waits: enough to keep a relay busy.
	freeBacklog = 20_000
	// deepBacklog is the size from which a backlog has to shrink: fewer runs then fire than the sink takes.
	deepBacklog = 4 * freeBacklog
	// awayAfter is how long a sink may take nothing before it counts as away, because its broker or its relay is.
	// Firing does not wait for a sink that is away.
	awayAfter = 5 * time.Second
	// unaskedFirings is how many runs fire, while no sink is behind, before the sinks are asked again.
	unaskedFirings = 1000
	// leastLeave is the least number of runs worth a firing, and leavePause the time between two questions for it.
	leastLeave, leavePause = 500, 10 * time.Millisecond
	// smallLeave is the time after which fewer runs are worth a firing.
	smallLeave = 200 * time.Millisecond
)

// backlog is how far the sinks of runs are behind what was fired.
type backlog struct {
	sinks   map[string]sinkBacklog
	unasked int       // runs that were fired since the sinks were asked
	leave   float64   // how many runs may fire, while a sink is behind
	behind  int64     // runs that the slowest sink which is not away has not taken
	waits   bool      // firing waits for a sink
	next    time.Time // when to ask again
	fired   time.Time // when the last leave was used

	heavy      []heavyFiring // firings of heavy tasks that a sink has not taken, the oldest first
	heavySince time.Time     // since when there are any
	heavierAt  memory.Micros // when heavy tasks may fire, as far as these are concerned
}

// heavyFiring is a firing of heavy tasks: what they weigh together, in KiB, and the last position of their events.
type heavyFiring struct {
	weight   int
	position int64
}

// freeWeight is how much may wait to be handed over before heavy tasks wait to fire, in KiB. What is light and fires
// behind them then waits for that much to be handed over, and not for all that is due.
const freeWeight = 8 << 10

// sinkBacklog is where a sink was when it was asked, and since when.
type sinkBacklog struct {
	at    int64
	moved time.Time
}

// sinkPlace is what the log says of a sink of runs: the newest position, and the one up to which it has taken runs.
type sinkPlace struct {
	Sink       string
	Newest, At int64
}

// sinkPlacesSQL reads where the sinks of runs are that are served. Positions of both topics are drawn from one
// sequence, so a backlog looks longer than it is while many schedules change, until the next run is handed over.
const sinkPlacesSQL = `
select s.sink, (select last_value from tactus.outbox_position),
    case when s.confirmed_place >= b.row_count then b.last_position else b.first_position - 1 + s.confirmed_place end
from tactus.relay_sinks s join tactus.relay_batches b on b.sink = s.sink and b.number = s.confirmed_batch
where s.topic = 'run' and s.stopped is null and b.last_position is not null`

// mayFire returns how many due times of a tier may fire now, as far as sinks are concerned; 0 while a sink has to catch
// up first.
func (b *Beat) mayFire(ctx context.Context, tier memory.Tier) (int, error) {
	l, now := &b.backlog, localNow()
	asks := l.full() && b.clock.now().UnixMicro() >= l.heavierAt
	if b.cfg.Shadow || !l.waits && l.unasked < unaskedFirings && !asks {
		return l.leaveOf(tier, maxFiringSize), nil
	}
	if now.Before(l.next) {
		return 0, nil
	}
	var places []sinkPlace
	err := b.beside.Read(ctx, sinkPlacesSQL, func() (err error) {
		places, err = postgres.Collect(ctx, b.pool, pgx.RowToStructByPos[sinkPlace], sinkPlacesSQL, planned)
		return err
	})
	if _, locked := errors.AsType[*tablelocks.Locked](err); err != nil && !locked { // if it is, all of them are away
		return 0, fmt.Errorf("ask how far sinks are: %w", err)
	}
	n := l.heard(places, now)
	if l.heavierAt = memory.Always; l.full() {
		l.heavierAt = b.clock.now().Add(leavePause).UnixMicro()
	}
	b.noteBacklog()
	return l.leaveOf(tier, n), nil
}

// full reports whether heavy tasks have to wait until what was fired of them is handed over.
func (l *backlog) full() bool { return l.heavyWeight() >= freeWeight }

// leaveOf returns how many of n due times that may fire may be of a tier.
func (l *backlog) leaveOf(tier memory.Tier, n int) int {
	if tier != memory.Light && l.full() {
		return 0
	}
	return n
}

// handingOver takes in that heavy tasks were fired.
func (l *backlog) handingOver(weight int, newest *int64, now time.Time) {
	if newest == nil {
		return
	}
	if len(l.heavy) == 0 {
		l.heavySince = now
	}
	l.heavy = append(l.heavy, heavyFiring{weight, *newest})
}

// heavyWeight is what the heavy tasks weigh together that a sink has not taken, as far as is known.
func (l *backlog) heavyWeight() (sum int) {
	for _, h := range l.heavy {
		sum += h.weight
	}
	return sum
}

// forget forgets the heavy tasks that all sinks have taken which are not away.
func (l *backlog) forget(now time.Time) {
	taken := int64(math.MaxInt64)
	for _, s := range l.sinks {
		if now.Sub(s.moved) <= awayAfter || now.Sub(l.heavySince) <= awayAfter {
			taken = min(taken, s.at)
		}
	}
	l.heavy = slices.DeleteFunc(l.heavy, func(h heavyFiring) bool { return h.position <= taken })
}

// heard takes in where the sinks are, and returns how many due times may fire.
func (l *backlog) heard(places []sinkPlace, now time.Time) int {
	before := l.sinks
	l.sinks, l.unasked, l.behind = map[string]sinkBacklog{}, 0, 0
	slowest := -1.0
	for _, p := range places {
		was, known := before[p.Sink]
		s := sinkBacklog{p.At, was.moved}
		if !known || p.At > was.at {
			s.moved = now
		}
		l.sinks[p.Sink] = s
		behind := p.Newest - p.At
		if behind <= freeBacklog || now.Sub(s.moved) > awayAfter {
			continue
		}
		l.behind = max(l.behind, behind)
		taken := 0.0
		if known {
			taken = float64(max(0, p.At-was.at))
		}
		if behind > deepBacklog {
			taken *= 0.9
		}
		if slowest < 0 || taken < slowest {
			slowest = taken
		}
	}
	l.forget(now)
	if l.waits = slowest >= 0; !l.waits {
		l.leave = 0
		return maxFiringSize
	}
	l.leave = min(l.leave+slowest, maxFiringSize)
	if l.leave >= leastLeave || l.leave >= 1 && now.Sub(l.fired) > smallLeave {
		return int(l.leave)
	}
	l.next = now.Add(leavePause)
	return 0
}

// took takes in that runs were fired.
func (l *backlog) took(n int64, now time.Time) {
	l.unasked += int(n)
	l.leave, l.fired = max(0, l.leave-float64(n)), now
}

// pause is how long nothing may fire.
func (l *backlog) pause(now time.Time) time.Duration { return max(0, l.next.Sub(now)) }

// noteBacklog tells Stats how far the sinks are behind, and the log when firing begins to wait for them, and when it
// ends.
func (b *Beat) noteBacklog() {
	b.stats.mu.Lock()
	was := b.stats.Behind > 0
	b.stats.Behind = b.backlog.behind
	b.stats.mu.Unlock()
	switch is := b.backlog.behind > 0; {
	case is && !was && localNow().Sub(b.stats.toldBehind) > time.Minute:
		b.stats.toldBehind = localNow()
		b.log.Warn("more is due than is handed over: it fires as fast as sinks take it, the oldest first", "topic", outbox.Runs,
			"behind", b.backlog.behind)
	case was && !is:
		b.log.Info("sinks have caught up with what is due", "topic", outbox.Runs)
	}
}
