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

// While more is due than can be handed over, firing and handing over compete for the machine. Firing is the cheaper of
// the two, so it would take most of the machine and the backlog would grow without end; and the longer a run waits in
// the backlog, the more it costs to hand over. So firing waits for the sink that is behind, and fires only as many runs
// as this sink has taken meanwhile. Due times that have not fired stay in memory, the oldest first; one that becomes
// late is decided by its misfire policy.
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
	// leastLeave is the least number of runs that are worth a firing. While fewer may fire, the sinks are asked again
	// after leavePause.
	leastLeave, leavePause = 500, 10 * time.Millisecond
	// smallLeave is the time after the last firing from which on fewer runs than leastLeave are worth one.
	smallLeave = 200 * time.Millisecond
)

// backlog is how far the sinks of runs are behind the runs that were fired, and how many may fire because of it.
type backlog struct {
	sinks   map[string]sinkBacklog
	unasked int       // runs that were fired since the sinks were asked
	leave   float64   // how many runs may fire, while a sink is behind
	behind  int64     // runs that the slowest sink which is not away has not taken
	waits   bool      // firing waits for a sink
	next    time.Time // not before then are the sinks asked again
	fired   time.Time // when runs were last fired

	heavy      []heavyFiring // firings of heavy tasks that a sink has not taken, the oldest first
	heavySince time.Time     // since when heavy has not been empty
	heavierAt  memory.Micros // when heavy tasks may fire, as far as heavy is concerned
}

// heavyFiring is a firing of heavy tasks: their total weight in KiB, and the last position of their events.
type heavyFiring struct {
	weight   int
	position int64
}

// freeWeight is how many KiB of heavy tasks may wait to be handed over before the next heavy tasks wait to fire. Runs
// are handed over in the order in which they fired, so a light task that fires behind heavy ones waits for about
// freeWeight at most, and not for all heavy tasks that are due.
const freeWeight = 8 << 10

// sinkBacklog is the position up to which a sink had taken runs when it was last asked, and when this position last
// rose.
type sinkBacklog struct {
	at    int64
	moved time.Time
}

// sinkPlace is what the ledger says of a sink of runs: the newest position of the log, and the position up to which the
// sink has taken runs.
type sinkPlace struct {
	Sink       string
	Newest, At int64
}

// sinkPlacesSQL reads the positions of the sinks of runs that are served. Positions of both topics are drawn from one
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
	if _, locked := errors.AsType[*tablelocks.Locked](err); err != nil && !locked { // locked: all sinks count as away
		return 0, fmt.Errorf("ask how far sinks are: %w", err)
	}
	n := l.update(places, now)
	if l.heavierAt = memory.Always; l.full() {
		l.heavierAt = b.clock.now().Add(leavePause).UnixMicro()
	}
	b.noteBacklog()
	return l.leaveOf(tier, n), nil
}

// full reports whether heavy tasks have to wait until sinks have taken more of those that were fired.
func (l *backlog) full() bool { return l.heavyWeight() >= freeWeight }

// leaveOf returns how many due times of a tier may fire, if n due times of any tier may.
func (l *backlog) leaveOf(tier memory.Tier, n int) int {
	if tier != memory.Light && l.full() {
		return 0
	}
	return n
}

// noteHeavy notes that heavy tasks of a weight were fired, the last of them with the position newest.
func (l *backlog) noteHeavy(weight int, newest *int64, now time.Time) {
	if newest == nil {
		return
	}
	if len(l.heavy) == 0 {
		l.heavySince = now
	}
	l.heavy = append(l.heavy, heavyFiring{weight, *newest})
}

// heavyWeight returns the total weight of the heavy tasks that some sink is not known to have taken.
func (l *backlog) heavyWeight() (sum int) {
	for _, h := range l.heavy {
		sum += h.weight
	}
	return sum
}

// forget drops the heavy firings that every sink has taken. Sinks that are away do not count.
func (l *backlog) forget(now time.Time) {
	taken := int64(math.MaxInt64)
	for _, s := range l.sinks {
		if now.Sub(s.moved) <= awayAfter || now.Sub(l.heavySince) <= awayAfter {
			taken = min(taken, s.at)
		}
	}
	l.heavy = slices.DeleteFunc(l.heavy, func(h heavyFiring) bool { return h.position <= taken })
}

// update processes the positions of the sinks, and returns how many due times may fire.
func (l *backlog) update(places []sinkPlace, now time.Time) int {
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

// took notes that n runs were fired.
func (l *backlog) took(n int64, now time.Time) {
	l.unasked += int(n)
	l.leave, l.fired = max(0, l.leave-float64(n)), now
}

// pause returns for how long nothing may fire.
func (l *backlog) pause(now time.Time) time.Duration { return max(0, l.next.Sub(now)) }

// noteBacklog updates Stats, and logs when firing begins and when it ceases to wait for sinks.
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
