package beat

import (
	"fmt"
	"time"

	"github.com/tactus-dev/tactus/beat/memory"
)

// worthTelling is how late the oldest due time has to be, and for how long, before the beat logs it.
const worthTelling = 5 * time.Second

// Lateness is how late the oldest due time is that has not fired, and why.
type Lateness struct {
	By    time.Duration
	Why   string
	Waits bool          // firing waits for a sink to catch up
	For   time.Duration // for how long it has been later than Config.Takeover; 0 when it is not
}

// String describes the lateness for an operator.
func (l Lateness) String() string {
	return fmt.Sprintf("what is due has not fired for %s: %s", l.By.Round(time.Millisecond), l.Why)
}

// lateBy returns how late the oldest due time in memory is.
func (b *Beat) lateBy(now memory.Micros) (l Lateness) {
	first, of := memory.Never, memory.Light
	for t := range memory.Tier(memory.Tiers) {
		if at := b.memory.NextFireOf(t); at < first {
			first, of = at, t
		}
	}
	if !b.lease.leading || first >= now {
		return Lateness{}
	}
	l.By = time.Duration(now-first) * time.Microsecond
	switch pace := &b.paces[of]; {
	case b.lease.locked.fireAt > now:
		l.Why = errLeaseLocked.Error()
	case b.beside.Waits(b.mode.fireDueSQL) != "":
		l.Why = b.beside.Waits(b.mode.fireDueSQL)
	case b.backlog.waits:
		l.Waits, l.Why = true, fmt.Sprintf("a sink has not taken %d runs that were fired", b.backlog.behind)
	case of != memory.Light && b.backlog.full():
		l.Waits, l.Why = true, fmt.Sprintf("a sink has not taken %d KiB of large tasks that were fired", b.backlog.heavyWeight())
	case pace.reduction > 0:
		l.Why = fmt.Sprintf("PostgreSQL takes long, so a statement fires %d KiB of tasks at most", pace.size())
	case of != memory.Light:
		l.Why = fmt.Sprintf("large tasks are due together, of %d KiB, and fire in turn", b.memory.FirstWeight(of))
	default:
		l.Why = "more is due than fires"
	}
	return l
}

// noteLateness updates Stats, and logs once a minute that due times are late. The caller has locked Stats.
func (b *Beat) noteLateness(now memory.Micros) {
	s := &b.stats
	s.Late = b.lateBy(now)
	if s.Late.By < b.cfg.Takeover {
		s.lateSince = time.Time{}
	} else if s.lateSince.IsZero() {
		s.lateSince = localNow()
	}
	if s.Late.By < worthTelling {
		s.tellLate = localNow().Add(worthTelling)
	} else if localNow().After(s.tellLate) {
		s.tellLate = localNow().Add(time.Minute)
		b.log.Warn("what is due fires late", "late", s.Late.By, "why", s.Late.Why)
	}
}
