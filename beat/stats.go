package beat

import (
	"sync"
	"time"

	"github.com/tactus-dev/tactus/beat/memory"
)

// Stats are the figures of a beat that operators watch.
type Stats struct {
	Known     bool          // Leader and Term are current: the lease was read or renewed less than its duration ago
	Age       time.Duration // since the last step that succeeded
	Leader    bool
	Term      int64 // the term in which this beat holds the lease; 0 while it does not
	Loaded    bool
	Schedules int
	Pending   int           // schedules that are to be read
	Skew      time.Duration // how far the local wall clock is ahead of PostgreSQL's
	Steps     int64         // of PostgreSQL's clock
	Step      time.Duration // the last of them; negative when the clock went back
	StepAge   time.Duration // since then
	Withdrawn int64         // rows taken back that were recorded while the clock was ahead
	Watermark time.Time     // every due time that fires by then is settled
	Lag       time.Duration // how far the watermark is behind now; it grows while PostgreSQL is unavailable
	Renewed   time.Time     // when the lease was last renewed
	Fired     int64
	Missed    int64 // ranges of due times
	Shadow    bool  // this beat decides and records, but fires nothing: Fired is 0
	Retired   bool  // this shadow does nothing any more, because a beat that fires has come
	WouldFire int64 // due times that a shadow would have fired
	SetAside  int64 // due times that cannot fire
	Behind    int64 // runs that were fired and that a sink has not taken, while firing waits for this sink; otherwise 0
	Late      Lateness
	Heavy     int64 // bytes of large tasks that were fired and that a sink is not known to have taken
	Syncs     int64 // queries for changed schedules
	Resyncs   int64
	Gaps      int64 // how often the feed may have lost events
	Problem   error // the error of the last step, or of the start; nil when it succeeded

	Lateness    Histogram // from when a due time was to fire to its commit
	Recognition Histogram // from a change to its arrival in memory
}

// stats are the figures that the loop keeps for Stats.
type stats struct {
	mu sync.Mutex
	Stats
	stepped    time.Time // when PostgreSQL's clock stepped last, by the monotonic clock
	asked      time.Time // when the lease was last read or renewed, by the monotonic clock
	toldBehind time.Time // when it was last logged that firing waits for a sink; used by the loop only
	tellLate   time.Time // when it may next be logged that due times are late; used by the loop only
	lateSince  time.Time // since when due times have been later than Config.Takeover, by the monotonic clock
	answered   time.Time // when a step last succeeded, by the monotonic clock; at first, when New was called
}

// Stats returns the figures as they are now.
func (b *Beat) Stats() Stats {
	b.stats.mu.Lock()
	defer b.stats.mu.Unlock()
	s := b.stats.Stats
	s.Skew = b.clock.ahead()
	s.Known = localNow().Sub(b.stats.asked) < leaseTime
	s.Age = localNow().Sub(b.stats.answered)
	s.StepAge = localNow().Sub(b.stats.stepped)
	if !b.stats.lateSince.IsZero() {
		s.Late.For = localNow().Sub(b.stats.lateSince)
	}
	if !s.Watermark.IsZero() {
		s.Lag = b.clock.now().Sub(s.Watermark)
	}
	s.Lateness, s.Recognition = s.Lateness.clone(), s.Recognition.clone()
	return s
}

// setProblem sets Stats.Problem.
func (s *stats) setProblem(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Problem = err
}

// publish copies the state of the loop to where Stats reads it. A failed step does not move the watermark.
func (b *Beat) publish(now memory.Micros, failed bool) {
	s := &b.stats
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Leader, s.Term, s.Loaded = b.lease.leading, b.lease.term, true
	s.Schedules, s.Pending = b.memory.Len(), len(b.syncs.pending)
	s.Syncs, s.Resyncs, s.Shadow, s.Retired = b.syncs.queries, b.resync.done, b.cfg.Shadow, b.shadow.retired
	if !b.lease.leading {
		s.Behind = 0
	}
	s.Heavy = int64(b.backlog.heavyWeight()) << 10
	b.noteLateness(now)
	s.Renewed, s.asked = b.lease.renewed, b.lease.asked
	if !failed {
		s.answered = localNow()
		if at := b.watermark(now); at != memory.Always {
			s.Watermark = time.UnixMicro(at)
		}
	}
}

// countRecognition observes how long a change took to arrive in memory, unless memory has it already.
func (b *Beat) countRecognition(r memory.Row) {
	if kept, ok := b.memory.Find(r.ID); ok && int64(kept.Version) >= r.Version {
		return
	}
	took := b.clock.now().Sub(time.UnixMicro(r.Updated))
	b.stats.mu.Lock()
	defer b.stats.mu.Unlock()
	b.stats.Recognition.observe(took)
}

func (s *stats) countStep(by time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Steps, s.Step, s.stepped = s.Steps+1, by, localNow()
}

func (s *stats) countWithdrawn(rows int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Withdrawn += rows
}

func (s *stats) countGap() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Gaps++
}

func (s *stats) countSetAside() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.SetAside++
}

// countFired counts and logs what a firing has settled.
func (b *Beat) countFired(decisions []memory.Decision, out outcome, took time.Duration) {
	if out.Recorded == 0 {
		return // all of it had been settled before
	}
	at := b.clock.now().UnixMicro()
	b.stats.mu.Lock()
	defer b.stats.mu.Unlock()
	var latest memory.Micros
	for _, d := range decisions {
		if d.Reason == "" {
			latest = max(latest, at-d.Fire)
			b.stats.Lateness.observe(time.Duration(at-d.Fire) * time.Microsecond)
		}
	}
	b.stats.Missed += out.Missed
	said, skipped := []any{"runs", out.Fired}, out.Recorded-out.Fired-out.Missed-out.Excluded
	b.sums.add(sumRuns, out.Fired)
	for _, count := range []struct {
		of int
		n  int64
	}{{sumMissed, out.Missed}, {sumExcluded, out.Excluded}, {sumSkipped, skipped}} {
		if count.n > 0 {
			said = append(said, summed[count.of], count.n)
			b.sums.add(count.of, count.n)
		}
	}
	if b.cfg.Shadow {
		b.stats.WouldFire += out.Fired
		b.log.Debug("would fire", said...)
		return
	}
	b.stats.Fired += out.Fired
	if out.Fired == 0 {
		b.log.Debug("recorded what does not fire", said[2:]...)
		return
	}
	late := time.Duration(latest) * time.Microsecond
	b.sums.late = max(b.sums.late, late)
	b.log.Debug("fired", append(said, "late", late, "took", took)...)
}
