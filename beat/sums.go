package beat

import (
	"log/slog"
	"time"
)

// sums are the figures that are logged once a minute at the level info; each step is logged at the level debug. They
// belong to the loop.
type sums struct {
	since  time.Time // by the monotonic clock; zero while there is nothing to log
	counts [len(summed)]int64
	late   time.Duration // the latest that anything fired
}

// summed names the sums, in the order in which they are logged.
var summed = [...]string{"runs", "missed", "excluded", "skipped", "events", "synced"}

const (
	sumRuns = iota
	sumMissed
	sumExcluded
	sumSkipped
	sumEvents
	sumSynced
)

const sumsEvery = time.Minute

func (s *sums) add(what int, n int64) {
	if n == 0 {
		return
	}
	if s.since.IsZero() {
		s.since = localNow()
	}
	s.counts[what] += n
}

// tell logs the sums if they are a minute old, or if they are the last.
func (s *sums) tell(log *slog.Logger, shadow, last bool) {
	if s.since.IsZero() {
		return
	}
	of := localNow().Sub(s.since)
	if of < sumsEvery && !last {
		return
	}
	var said []any
	for i, n := range s.counts {
		if n > 0 {
			said = append(said, summed[i], n)
		}
	}
	what := "what was done"
	if shadow {
		what = "what would have been done"
	}
	log.Info(what, append(said, "late", s.late, "within", of.Round(time.Second))...)
	*s = sums{}
}
