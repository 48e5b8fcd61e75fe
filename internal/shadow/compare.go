package shadow

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// Tolerance is how far a task may have been sent from its due time and still match it.
type Tolerance struct {
	Early time.Duration // before: clocks differ
	Late  time.Duration // after: the old beat's own lateness besides

	DefaultQueue string // of tasks that neither their schedule nor a route sends elsewhere
}

// Report is what both beats did, schedule by schedule.
type Report struct {
	Since     time.Time  `json:"since"`
	Until     time.Time  `json:"until"`
	Watched   float64    `json:"watched_seconds"`
	Agree     bool       `json:"agree"`
	Compared  bool       `json:"compared" doc:"Whether there was anything to compare."`
	Heard     int        `json:"heard" doc:"Tasks that were sent, as events told."`
	HeardSent int        `json:"heard_sent" doc:"Of them, those whose sender told of it."`
	Notes     []string   `json:"notes,omitempty"`
	Schedules []Row      `json:"schedules"`
	Others    []Outsider `json:"others,omitempty" doc:"Senders none of whose tasks match: applications, or another beat."`
}

// Row is one schedule; without an id, a task that no schedule runs.
type Row struct {
	ID         *domain.ID `json:"schedule_id,omitempty"`
	Name       string     `json:"name"`
	Task       string     `json:"task"`
	WouldFire  int        `json:"would_fire"`
	OldSent    int        `json:"old_beat_sent"`
	Matched    int        `json:"matched"`
	OtherArgs  int        `json:"other_arguments" doc:"Of the matched, those with other arguments."`
	OtherQueue int        `json:"other_queue" doc:"Of the matched, those that were sent to another queue than tactus would."`
	OnlyTactus int        `json:"only_tactus"`
	OnlyOld    int        `json:"only_old_beat"`
	Drifted    int        `json:"drifted" doc:"Of an interval: what one of them has more, since Celery's beat drifts."`
	Unjudged   int        `json:"not_judged" doc:"At the edges of what was watched."`
	Latest     float64    `json:"latest_seconds" doc:"How late the old beat was, at most."`
	Examples   []Example  `json:"examples,omitempty"`

	schedule *domain.Schedule
}

// Example is something that only one of them did.
type Example struct {
	Only  string    `json:"only" enum:"tactus,old beat,both"`
	At    time.Time `json:"at"`
	Guess string    `json:"guess"`
}

// Outsider is a sender that is no beat.
type Outsider struct {
	Sender string `json:"sender"`
	Tasks  int    `json:"tasks"`
}

// differs tells whether the schedule is not the same to both.
func (r *Row) differs() bool { return r.OnlyTactus+r.OnlyOld+r.OtherArgs+r.OtherQueue > 0 }

// maxExamples of one schedule, and of each kind, are shown.
const maxExamples = 3

// comparison is a comparison in the making.
type comparison struct {
	Record
	tolerance Tolerance
	schedules map[domain.ID]*domain.Schedule
	rows      map[rowKey]*Row
	would     []*would
	sent      []*sent
	skipped   []Decision // and missed
}

// rowKey is a schedule, or a task without one.
type rowKey struct {
	id   domain.ID
	task string
}

// would is a due time that would have fired.
type would struct {
	Decision
	row         *Row
	arguments   arguments
	early, late time.Duration
	match       *sent
}

// sent is a task that was sent.
type sent struct {
	Sent
	arguments arguments
	match     *would
	twin      *would // unmatched as well, and nearest
}

// Compare holds what was sent against what would have been, up to now.
func Compare(r Record, t Tolerance, since, now time.Time) Report {
	c := &comparison{Record: r, tolerance: t, schedules: map[domain.ID]*domain.Schedule{}, rows: map[rowKey]*Row{}}
	for i := range r.Schedules {
		c.schedules[r.Schedules[i].ID] = &r.Schedules[i]
	}
	for _, d := range r.Decisions {
		c.decided(d)
	}
	for _, s := range r.Sent {
		c.sent = append(c.sent, &sent{Sent: s, arguments: argumentsOf(s.Args, s.Kwargs)})
	}
	c.match()
	report := Report{Since: since.UTC(), Until: now.UTC(), Schedules: []Row{}, Heard: len(r.Sent)}
	report.Others = c.outsiders()
	c.count()
	for _, row := range slices.SortedFunc(maps.Values(c.rows), byDifference) {
		report.Schedules = append(report.Schedules, *row)
	}
	c.conclude(&report)
	return report
}

func byDifference(a, b *Row) int {
	if a.differs() != b.differs() {
		return map[bool]int{true: -1, false: 1}[a.differs()]
	}
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Task, b.Task))
}

// decided takes in what a shadow has decided. An interval matches one by one, whatever its phase.
func (c *comparison) decided(d Decision) {
	if d.Fate != Fire {
		c.skipped = append(c.skipped, d)
		return
	}
	w := &would{Decision: d, row: c.row(d.Schedule, d.Task), arguments: shown(d.Args, d.Kwargs), early: c.tolerance.Early, late: c.tolerance.Early + c.tolerance.Late}
	w.row.Name = d.Name
	if every := interval(w.row.schedule); every > 0 {
		w.early, w.late = max(w.early, every), max(w.late, every)
	}
	c.would = append(c.would, w)
	w.row.WouldFire++
}

// destination is where tactus would send a task of a schedule; empty when nobody knows.
func (c *comparison) destination(s *domain.Schedule) string {
	if s == nil || s.Stream != "" {
		return ""
	}
	task := c.Routes[s.TaskName].Apply(s.Task())
	if task.Exchange != "" && task.RoutingKey != "" { // one without the other counts for nothing
		return destination("", task.Exchange, task.RoutingKey)
	}
	return cmp.Or(task.Queue, c.tolerance.DefaultQueue)
}

func interval(s *domain.Schedule) time.Duration {
	if s == nil {
		return 0
	}
	return time.Duration(s.IntervalSeconds) * time.Second
}

func (c *comparison) row(id domain.ID, task string) *Row {
	key := rowKey{id: id}
	if id.IsZero() {
		key.task = task
	}
	if c.rows[key] == nil {
		row := &Row{Task: task, Name: "-", schedule: c.schedules[id]}
		if !id.IsZero() {
			row.ID = &id
		}
		if row.schedule != nil {
			row.Name = row.schedule.Name
		}
		c.rows[key] = row
	}
	return c.rows[key]
}

// count says of each that has no match what to make of it.
func (c *comparison) count() {
	for _, w := range c.would {
		switch {
		case w.match != nil:
			w.row.Matched, w.row.OldSent = w.row.Matched+1, w.row.OldSent+1
			w.row.late(w.match.At.Sub(w.Fires))
			if w.arguments.differ(w.match.arguments) {
				w.row.OtherArgs++
				w.row.example("both", w.Fires, "the arguments differ: "+clip(w.match.Args)+" "+clip(w.match.Kwargs)+" were sent")
			}
			if ours := c.destination(w.row.schedule); ours != "" && w.match.To != "" && ours != w.match.To {
				w.row.OtherQueue++
				w.row.example("both", w.Fires, "the queues differ: it was sent to "+w.match.To+", and tactus would send it to "+ours+" (tactus import routes)")
			}
		case !c.watched(w.Due.Add(-w.early), w.Fires.Add(w.late)):
			w.row.Unjudged++
		default:
			w.row.OnlyTactus++
			w.row.example("tactus", w.Fires, c.whyNotSent(w))
		}
	}
	for _, s := range c.sent {
		if s.match == nil {
			c.countSent(s)
		}
	}
	for _, row := range c.rows {
		row.drift()
	}
}

func (c *comparison) countSent(s *sent) {
	row := c.of(s)
	row.OldSent++
	margin := max(c.tolerance.Early+c.tolerance.Late, interval(row.schedule))
	if !c.watched(s.At.Add(-margin), s.At.Add(margin)) || c.away(row, s.At) {
		row.Unjudged++
		return
	}
	row.OnlyOld++
	row.example("old beat", s.At, c.whyNotFired(row, s))
}

// away tells whether the shadow was away when it was due.
func (c *comparison) away(row *Row, at time.Time) bool {
	return slices.ContainsFunc(c.skipped, func(d Decision) bool {
		return d.Fate == Missed && row.ID != nil && d.Schedule == *row.ID && d.Until != nil &&
			!at.Before(d.Due.Add(-c.tolerance.Early)) && !at.After(d.Until.Add(c.tolerance.Early+c.tolerance.Late))
	})
}

// watched tells whether somebody listened all the time.
func (c *comparison) watched(from, to time.Time) bool {
	return slices.ContainsFunc(c.Watches, func(w Watch) bool { return !from.Before(w.Since) && !to.After(w.Until) })
}

// of is the row of a task that was sent: that of a schedule with the same arguments, rather than with others.
func (c *comparison) of(s *sent) *Row {
	if s.twin != nil {
		return s.twin.row
	}
	var found *domain.Schedule
	for i := range c.Schedules {
		of := &c.Schedules[i]
		if of.TaskName != s.Task {
			continue
		}
		if task := of.Task(); found == nil || found.DeletedAt.IsZero() == of.DeletedAt.IsZero() && !shown(task.Args, task.Kwargs).differ(s.arguments) {
			found = of
		}
	}
	if found == nil {
		return c.row(domain.ID{}, s.Task)
	}
	return c.row(found.ID, s.Task)
}

// late notes how late the old beat was. An interval has a phase of its own.
func (r *Row) late(by time.Duration) {
	if interval(r.schedule) == 0 {
		r.Latest = max(r.Latest, by.Seconds())
	}
}

func (r *Row) example(only string, at time.Time, guess string) {
	same := 0
	for _, e := range r.Examples {
		if e.Only == only {
			same++
		}
	}
	if same < maxExamples {
		r.Examples = append(r.Examples, Example{only, at.UTC(), guess})
	}
}

// drift excuses an interval of which one of them has a few more.
func (r *Row) drift() {
	if interval(r.schedule) == 0 || r.Matched == 0 || r.OnlyTactus+r.OnlyOld > 1+r.Matched/50 {
		return
	}
	r.Drifted, r.OnlyTactus, r.OnlyOld = r.OnlyTactus+r.OnlyOld, 0, 0
	r.Examples = slices.DeleteFunc(r.Examples, func(e Example) bool { return e.Only != "both" })
}

// noneSent is said when no sender tells of what it sends.
const noneSent = "no task-sent event was heard: set task_send_sent_event = True in the application that the old beat runs, and start it again"

// conclude sums up.
func (c *comparison) conclude(r *Report) {
	for _, s := range c.sent {
		if !s.Received {
			r.HeardSent++
		}
	}
	for _, w := range c.Watches {
		r.Watched += w.Until.Sub(w.Since).Seconds()
	}
	judged := 0
	r.Agree, r.Compared = true, true
	for i := range r.Schedules {
		judged += r.Schedules[i].Matched
		r.Agree = r.Agree && !r.Schedules[i].differs()
	}
	switch {
	case len(c.Watches) == 0:
		r.Notes = append(r.Notes, "nobody has watched what is sent: start a beat with TACTUS_BEAT_SHADOW=true")
		r.Agree, r.Compared = false, false
	case r.HeardSent == 0 && r.Heard == 0:
		r.Notes = append(r.Notes, noneSent+"; or start workers with -E")
		r.Agree, r.Compared = r.Agree && len(c.would) == 0, false
	case r.HeardSent == 0:
		r.Notes = append(r.Notes, noneSent+"; what follows is what workers received, whoever sent it, and when they did")
	}
	if r.Agree && judged == 0 && len(c.would) > 0 {
		r.Notes = append(r.Notes, "nothing could be compared yet: wait for some due times")
		r.Agree, r.Compared = false, false
	}
}
