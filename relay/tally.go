package relay

import (
	"regexp"
	"sync"
	"time"
)

// Stats is how a sink is served. What counts, counts since the start.
type Stats struct {
	Sink        string
	Topic       string
	Unpublished time.Time // when the oldest event was written that is not published; zero when there is none, or it is not known
	Known       time.Time // when Unpublished was last known to be so
	Unsure      bool      // that it is so now: Postgres does not answer
	Waiting     int64     // events that were read and are not published
	Batches     int64
	Published   int64
	SetAside    int64
	Failures    int64
	Mark        Mark  // where the sink is
	Problem     error // why it is not served, until something is published or nothing is to be; nil when it is
}

// tally keeps the stats of a lane.
type tally struct {
	mu      sync.Mutex
	stats   Stats
	pending []time.Time // the oldest event of each chunk that was read and is not published
	readAll bool        // nothing more was found to read since the sink and the log last agreed
	events  int64       // published, and not told to the log
	took    time.Duration
	told    map[string]told // of what the log was told since the sink was last served
	trouble trouble
}

// trouble is how long a sink was not served, and how often serving it failed meanwhile; zero while it is.
type trouble struct {
	since  time.Time
	failed int64
}

// told is when the log was told of some trouble, and how long it is not told again.
type told struct {
	at    time.Time
	pause time.Duration
}

// again reports whether the log is to be told again, and notes when.
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

// moves counts how often somebody else has moved the sink. A sink that has not been moved for long begins anew.
type moves struct {
	told  told
	times int // since the log was told
	last  time.Time
}

// note counts one, and reports whether the log is to be told, and of how many.
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

// begins forgets the chunks that were read before the sink and the log agreed anew: they are read again. Whatever the
// trouble was, it may be with them, so it stays.
func (t *tally) begins(at Mark) {
	t.do(func(s *Stats) { s.Mark, s.Waiting, t.pending, t.readAll = at, 0, nil, false })
}

// rests is told that nothing more is found to read.
func (t *tally) rests() { t.do(func(*Stats) { t.readAll = true }) }

// failed reports whether the log is to be told of a trouble: when it is a new one, and then with growing pauses.
// Numbers in the words, such as ports, make no new one.
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

// over returns the trouble that the sink was in, once, when it is served again.
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

// lags is told since when nothing is published; the zero time means that all is.
func (t *tally) lags(since time.Time) {
	t.do(func(s *Stats) {
		s.Known, s.Unsure = time.Now(), false
		if len(t.pending) == 0 {
			s.Unpublished = since
		}
	})
}

// agrees is told that the log and the sink still agree. If nothing is to be read or published, the sink is served.
func (t *tally) agrees() {
	t.do(func(s *Stats) {
		if t.readAll && len(t.pending) == 0 {
			s.Problem, t.told = nil, nil
		}
	})
}

// unknown is told that nobody knows since when nothing is published.
func (t *tally) unknown() {
	t.do(func(s *Stats) { s.Unsure = true })
}

// news is what was published since the last call.
func (t *tally) news() (events int64, took time.Duration) {
	t.do(func(*Stats) {
		events, took = t.events, t.took
		t.events, t.took = 0, 0
	})
	return events, took
}

// oldest is when the oldest event of a chunk was written.
func (c chunk) oldest() time.Time {
	oldest := c.rows[0].At
	for _, row := range c.rows {
		if row.At.Before(oldest) {
			oldest = row.At
		}
	}
	return oldest
}
