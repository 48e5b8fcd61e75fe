package notify

import (
	"cmp"
	"slices"
	"time"

	"github.com/tactus-dev/tactus/domain"
)

const (
	// shortLook is how long a look may take at first. A look that takes longer is given up, and repeated at its next
	// turn with twice the time, up to longLook.
	shortLook = 250 * time.Millisecond
	longLook  = 30 * time.Second
	// looksOver and perPattern estimate the cost of a look that has not been made yet.
	looksOver  = 5 * time.Millisecond
	perPattern = time.Millisecond
)

// turn is one finding of a rule, with its account of the shared time.
type turn struct {
	rule    domain.NotificationRule
	finding finding
	line    *line
	due     time.Time     // when to look again
	queued  bool          // it is due, and tag is set
	tag     time.Duration // the virtual time that orders the turns of a line: the lowest is next
	end     time.Duration // the virtual time up to which its last look has used up its share
	cost    time.Duration // what the last look took
	failing bool
}

// wants estimates the cost of the next look as twice that of the last one. With a lower estimate, a look that turns out
// to cost more would go before others that cost less.
func (t *turn) wants() time.Duration { return min(2*t.cost, longLook) }

// may returns how long the next look may take.
func (t *turn) may() time.Duration { return max(t.wants(), shortLook) }

type turnKey struct {
	rule domain.ID
	what domain.Happening
}

// line holds the turns of one caller, namely of the rules that this caller wrote last, with the caller's account of the
// shared time.
type line struct {
	now    time.Duration // the virtual time of its turns: what each waiting turn has had by fair shares
	head   *turn         // the next one of the due turns
	queued bool          // tag is set
	tag    time.Duration // the virtual time that orders the lines: the lowest is next
	end    time.Duration // the virtual time up to which its last look has used up its share
}

// turns divide the time of a sweep between callers, and the time of each caller between the looks of that caller's
// rules. Both use fair queueing. While all looks together take longer than sweepEvery, each caller gets as much time as
// any other. A look that costs c waits for the one look that is under way, and, for each other caller and for each
// other look of the same caller, for at most 3c, or shortLook while the cost is not known. Looks that cost more wait
// longer; they do not make cheap ones wait.
type turns struct {
	read  *[]domain.NotificationRule
	all   []*turn
	lines map[string]*line // by caller
	now   time.Duration    // the virtual time: what each waiting caller has had by fair shares
}

// of updates the turns to the current rules. A rule that has changed keeps its account.
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

// next returns the turn that comes next; nil while none is due.
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
			l.queued = false // the caller has no due turns any more
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

// done records the cost of a turn's look, and when its next look is due.
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

// failing returns how many findings failed at their last look.
func (ts *turns) failing() (n int) {
	for _, t := range ts.all {
		if t.failing {
			n++
		}
	}
	return n
}
