package notify

import (
	"cmp"
	"slices"
	"time"

	"github.com/tactus-dev/tactus/domain"
)

const (
	// shortLook is how long any look may take. One that takes longer is given up and begun again when it is its turn,
	// with twice the time; longLook is the most that one gets.
	shortLook = 250 * time.Millisecond
	longLook  = 30 * time.Second
	// looksOver and perPattern are what a look is taken to cost that has not been seen yet.
	looksOver  = 5 * time.Millisecond
	perPattern = time.Millisecond
)

// turn is one of a rule's findings, and how it stands with its share of the time.
type turn struct {
	rule    domain.NotificationRule
	finding finding
	line    *line
	due     time.Time     // when it is to be looked again
	queued  bool          // it is due, and has its tag
	tag     time.Duration // what has the lowest is next
	end     time.Duration // until when, by fair shares, its last look has used its own
	cost    time.Duration // of the last look
	failing bool
}

// wants is how much its next look is taken to cost: what turned out to cost more would go before others that do not.
func (t *turn) wants() time.Duration { return min(2*t.cost, longLook) }

// may is how long its next look may take.
func (t *turn) may() time.Duration { return max(t.wants(), shortLook) }

type turnKey struct {
	rule domain.ID
	what domain.Happening
}

// line is the turns of one caller, the one who set their rules last, and how it stands with its share of the time.
type line struct {
	now    time.Duration // the time that each of its turns which waits has had by fair shares
	head   *turn         // of those that are due, the next
	queued bool          // it has a tag
	tag    time.Duration // what has the lowest is next
	end    time.Duration // until when, by fair shares, its last look has used its own
}

// turns share the time of a sweep between callers, and what a caller has between that caller's rules: fair queueing,
// twice. While all looks together take longer than sweepEvery, each caller gets as much time as any other. A look that
// costs c waits for one that is under way, and for each other caller, and each other look of its own, at most 3c, or
// shortLook where that is not known yet; those that cost more wait longer, not it.
type turns struct {
	read  *[]domain.NotificationRule
	all   []*turn
	lines map[string]*line // by caller
	now   time.Duration    // the time that each caller who waits has had by fair shares
}

// of makes turns of rules as they are now; a rule that has changed keeps its share.
func (ts *turns) of(rules *[]domain.NotificationRule) {
	if ts.read == rules {
		return
	}
	known := map[turnKey]*turn{}
	for _, t := range ts.all {
		known[turnKey{t.rule.ID, t.finding.what}] = t
	}
	lines := map[string]*line{}
	ts.read, ts.all = rules, nil
	for _, r := range *rules {
		for _, f := range findings {
			if !slices.Contains(r.On, f.what) {
				continue
			}
			t := known[turnKey{r.ID, f.what}]
			if t == nil {
				patterns := len(r.Names) + len(r.Tags) + len(r.Tasks)
				t = &turn{finding: f, cost: looksOver + time.Duration(patterns)*perPattern}
			}
			if lines[r.SetBy] == nil {
				lines[r.SetBy] = cmp.Or(ts.lines[r.SetBy], &line{})
			}
			t.rule, t.line = r, lines[r.SetBy]
			ts.all = append(ts.all, t)
		}
	}
	ts.lines = lines
}

// next returns whose turn it is; nil while none is due.
func (ts *turns) next(now time.Time) *turn {
	for _, l := range ts.lines {
		l.head = nil
	}
	for _, t := range ts.all {
		l := t.line
		if !t.queued && !t.due.After(now) {
			t.queued, t.tag = true, max(t.end, l.now)+t.wants()
		}
		if t.queued && (l.head == nil || t.tag < l.head.tag) {
			l.head = t
		}
	}
	var first *line
	for _, l := range ts.lines {
		if l.head == nil {
			l.queued = false // its rules are gone
			continue
		}
		if !l.queued {
			l.queued, l.tag = true, max(l.end, ts.now)+l.head.wants()
		}
		if first == nil || l.tag < first.tag {
			first = l
		}
	}
	if first == nil {
		return nil
	}
	return first.head
}

// done notes what the look of a turn cost, and when the next one is due.
func (ts *turns) done(t *turn, cost time.Duration, due time.Time) {
	own, lines := 0, 0
	for _, one := range ts.all {
		if one.queued && one.line == t.line {
			own++
		}
	}
	for _, l := range ts.lines {
		if l.queued {
			lines++
		}
	}
	t.queued, t.end, t.cost, t.due = false, t.line.now+cost, cost, due
	t.line.now += cost / time.Duration(max(own, 1))
	t.line.queued, t.line.end = false, ts.now+cost
	ts.now += cost / time.Duration(max(lines, 1))
}

// failing is how many looks failed the last time.
func (ts *turns) failing() (n int) {
	for _, t := range ts.all {
		if t.failing {
			n++
		}
	}
	return n
}
