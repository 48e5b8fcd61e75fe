package relay

import (
	"regexp"
	"sync"
	"time"
)

// Stats are the figures of a sink. Counters count since the start of the relay.
type Stats struct {
	Sink        string
	Topic       string
	Unpublished time.Time // when the oldest unpublished event was written; zero if there is none, or if not known
	Known       time.Time // when Unpublished was last known to be right
	Unsure      bool      // Unpublished may be outdated, because PostgreSQL does not answer
	Waiting     int64     // events that were read and are not published
	Batches     int64
	Published   int64
	SetAside    int64
	Failures    int64
	Mark        Mark  // where the sink is
	Follows     bool  // another relay serves the sink; Published and the other counts are this relay's
	Problem     error // why the sink is not served; nil once something is published, or nothing is left to publish
}

// tally keeps the figures of a lane.
type tally struct {
	mu      sync.Mutex
	stats   Stats
	pending []time.Time // the oldest event of each chunk that was read and is not published
	readAll bool        // since the last agreement, reading has come to the end of the log
	events  int64       // published, and not logged yet
	took    time.Duration
	told    map[string]told // by kind of failure: what was logged since the sink was last served
	trouble trouble
}

// trouble says since when a sink is not served, and how often serving it has failed since; it is zero while the sink is
// served.
type trouble struct {
	since  time.Time
	failed int64
}

// told says when something was last logged, and for how long it is not logged again.
type told struct {
	at    time.Time
	pause time.Duration
}

// again reports whether to log it again, and if so notes the time and doubles the pause.
func (t *told) again(now time.Time) bool {
	if t.pause > 0 && now.Sub(t.at) < t.pause {
		return false
	}
	t.at, t.pause = now, min(max(2*t.pause, firstSilence), longestSilence)
	return true
}

const (
	firstSilence   = 10 * time.Second
	longestSilence = 10 * time.Minute
)

// moves counts how often somebody else has moved the sink. It starts afresh if the sink was not moved for
// longestSilence.
type moves struct {
	told  told
	times int // since it was last logged
	last  time.Time
}

// note counts a move. It reports whether to log it, and how many moves there were since it was last logged.
func (m *moves) note(now time.Time) (times int, tell bool) {
	if now.Sub(m.last) > longestSilence {
		*m = moves{}
	}
	m.times++
	m.last = now
	if times = m.times; m.told.again(now) {
		m.times = 0
		return times, true
	}
	return times, false
}

func (t *tally) do(change func(s *Stats)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change(&t.stats)
}

func (t *tally) get() (s Stats) {
	t.do(func(now *Stats) { s = *now })
	return s
}

// begins drops the chunks that were read before a new agreement, because they are read again. Problem stays, because
// these chunks may be its cause.
func (t *tally) begins(at Mark) {
	t.do(func(s *Stats) { s.Mark, s.Waiting, t.pending, t.readAll = at, 0, nil, false })
}

// rests notes that reading has come to the end of the log.
func (t *tally) rests() { t.do(func(*Stats) { t.readAll = true }) }

// failed notes a failure, and reports whether to log it: a new kind of failure at once, and then after growing pauses.
// Errors that differ only in numbers, such as ports, are of the same kind.
func (t *tally) failed(err error, now time.Time) (tell bool) {
	t.do(func(s *Stats) {
		s.Problem = err
		s.Failures++
		if t.trouble.since.IsZero() {
			t.trouble.since = now
		}
		t.trouble.failed++
		kind := numbers.ReplaceAllString(err.Error(), "0")
		before := t.told[kind]
		if tell = before.again(now); !tell {
			return
		}
		if t.told == nil {
			t.told = map[string]told{}
		}
		t.told[kind] = before
	})
	return tell
}

// over returns the trouble that the sink was in, if the sink is served again and over has not returned it yet.
func (t *tally) over() (was trouble, served bool) {
	t.do(func(s *Stats) {
		if s.Problem == nil && t.trouble.failed > 0 {
			was, served, t.trouble = t.trouble, true, trouble{}
		}
	})
	return was, served
}

var numbers = regexp.MustCompile(`[0-9]+`)

func (t *tally) cut() { t.do(func(s *Stats) { s.Batches++ }) }

func (t *tally) aside(n int) { t.do(func(s *Stats) { s.SetAside += int64(n) }) }

func (t *tally) read(c chunk) {
	oldest := c.oldest()
	t.do(func(s *Stats) {
		t.pending = append(t.pending, oldest)
		s.Waiting += int64(len(c.rows))
		if s.Unpublished.IsZero() || oldest.Before(s.Unpublished) {
			s.Unpublished = oldest
		}
	})
}

func (t *tally) published(at Mark, c chunk, took time.Duration) {
	t.do(func(s *Stats) {
		n := int64(0)
		for _, e := range c.entries {
			if e.Message != nil {
				n++
			}
		}
		s.Mark, s.Waiting, s.Published, s.Known = at, s.Waiting-int64(len(c.rows)), s.Published+n, time.Now()
		s.Unsure, s.Problem = false, nil
		t.told = nil
		t.events, t.took = t.events+n, t.took+took
		t.pending, s.Unpublished = t.pending[1:], time.Time{}
		for _, oldest := range t.pending {
			if s.Unpublished.IsZero() || oldest.Before(s.Unpublished) {
				s.Unpublished = oldest
			}
		}
	})
}

// lags notes since when rows wait to be published; the zero time means that none do.
func (t *tally) lags(since time.Time) {
	t.do(func(s *Stats) {
		s.Known, s.Unsure = time.Now(), false
		if len(t.pending) == 0 {
			s.Unpublished = since
		}
	})
}

// agrees notes that the ledger and the sink still agree. If nothing is left to read or publish, the sink is served.
func (t *tally) agrees() {
	t.do(func(s *Stats) {
		if t.readAll && len(t.pending) == 0 {
			s.Problem, t.told = nil, nil
		}
	})
}

// follows notes whether another relay serves the sink. If so, the sink is served.
func (t *tally) follows(is bool) {
	t.do(func(s *Stats) {
		if s.Follows = is; is {
			s.Problem, t.told = nil, nil
		}
	})
}

// unknown notes that Unpublished may be outdated.
func (t *tally) unknown() {
	t.do(func(s *Stats) { s.Unsure = true })
}

// news returns how many events were published since the last call, and how long that took.
func (t *tally) news() (events int64, took time.Duration) {
	t.do(func(*Stats) {
		events, took = t.events, t.took
		t.events, t.took = 0, 0
	})
	return events, took
}

// oldest returns when the oldest event of a chunk was written.
func (c chunk) oldest() time.Time {
	oldest := c.rows[0].At
	for _, row := range c.rows {
		if row.At.Before(oldest) {
			oldest = row.At
		}
	}
	return oldest
}
