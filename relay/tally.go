package relay

import (
	"sync"
	"time"
)

// Stats is how a sink is served. What counts, counts since the start.
type Stats struct {
	Sink        string
	Topic       string
	Unpublished time.Time // when the oldest event was written that is not published; zero when there is none
	Waiting     int64     // events that were read and are not published
	Batches     int64
	Published   int64
	SetAside    int64
	Failures    int64
	Mark        Mark  // where the sink is
	Problem     error // why it is not served; nil when it is
}

// tally keeps the stats of a lane.
type tally struct {
	mu      sync.Mutex
	stats   Stats
	pending []time.Time // the oldest event of each chunk that was read and is not published
	events  int64       // published, and not told to the log
	took    time.Duration
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

// settled forgets the chunks of an earlier life: they are read again.
func (t *tally) settled(at Mark) {
	t.do(func(s *Stats) { s.Mark, s.Problem, s.Waiting, t.pending = at, nil, 0, nil })
}

// failed tells whether the trouble is a new one.
func (t *tally) failed(err error) (news bool) {
	t.do(func(s *Stats) {
		news = s.Problem == nil || s.Problem.Error() != err.Error()
		s.Problem = err
		s.Failures++
	})
	return news
}

func (t *tally) cut() { t.do(func(s *Stats) { s.Batches++ }) }

func (t *tally) aside() { t.do(func(s *Stats) { s.SetAside++ }) }

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
		s.Mark, s.Waiting, s.Published = at, s.Waiting-int64(len(c.rows)), s.Published+n
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
		if len(t.pending) == 0 {
			s.Unpublished = since
		}
	})
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
