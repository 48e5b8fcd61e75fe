package beat

import (
	"log/slog"
	"time"
)

// sums are what the log is told once a minute, at the level of information; each step is told at the level of
// debugging. They belong to the loop.
type sums struct {
	since  time.Time // by the monotonic clock; zero while there is nothing to tell
	counts [len(summed)]int64
	late   time.Duration // the latest that anything fired
}

// summed names the sums, in the order of the line.
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

// tell logs the sums when they are a minute old, or when there will be no more.
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
