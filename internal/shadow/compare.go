package shadow

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// Tolerance is how far from its due time a task may be sent and still match it.
type Tolerance struct {
	Early time.Duration // before the due time, because clocks differ
	Late  time.Duration // after the due time, in addition to Early: how late the old beat may be

	DefaultQueue string // the queue of tasks for which neither their schedule nor a route names one
}

// Report says, for each schedule, what both beats did.
type Report struct {
	Since     time.Time  `json:"since"`
	Until     time.Time  `json:"until"`
	Watched   float64    `json:"watched_seconds"`
	Agree     bool       `json:"agree"`
	Compared  bool       `json:"compared" doc:"Whether there was anything to compare."`
	Heard     int        `json:"heard" doc:"Tasks that were sent, according to events."`
	HeardSent int        `json:"heard_sent" doc:"Of these, the tasks that a sender reported."`
	Notes     []string   `json:"notes,omitempty"`
	Schedules []Row      `json:"schedules"`
	Others    []Outsider `json:"others,omitempty" doc:"Senders none of whose tasks match: applications, or another beat."`
}

// Row is one schedule, or without an id a task that no schedule runs.
type Row struct {
	ID         *domain.ID `json:"schedule_id,omitempty"`
	Name       string     `json:"name"`
	Task       string     `json:"task"`
	WouldFire  int        `json:"would_fire"`
	OldSent    int        `json:"old_beat_sent"`
	Matched    int        `json:"matched"`
	OtherArgs  int        `json:"other_arguments" doc:"Matched tasks that were sent with other arguments."`
	OtherQueue int        `json:"other_queue" doc:"Matched tasks that were sent to another queue than tactus would use."`
	OnlyTactus int        `json:"only_tactus"`
	OnlyOld    int        `json:"only_old_beat"`
	Drifted    int        `json:"drifted" doc:"For an interval, the runs that only one beat has because Celery's beat drifts."`
	Unjudged   int        `json:"not_judged" doc:"Due times and tasks that were not judged, because nobody listened around them, or the schedule was not yet here."`
	Latest     float64    `json:"latest_seconds" doc:"The longest time, in seconds, by which the old beat was late."`
	Examples   []Example  `json:"examples,omitempty"`

	schedule *domain.Schedule
}

// Example is one thing that only one of the beats did, or that both did differently.
type Example struct {
	Only  string    `json:"only" enum:"tactus,old beat,both"`
	At    time.Time `json:"at"`
	Guess string    `json:"guess"`
}

// Outsider is a sender that is not a beat.
type Outsider struct {
	Sender string `json:"sender"`
	Tasks  int    `json:"tasks"`
}

// differs reports whether the two beats ran the schedule differently.
func (r *Row) differs() bool { return r.OnlyTactus+r.OnlyOld+r.OtherArgs+r.OtherQueue > 0 }

// maxExamples is how many examples of each kind a row shows.
const maxExamples = 3

// comparison is the state of a comparison that is being made.
type comparison struct {
	Record
	tolerance Tolerance
	schedules map[domain.ID]*domain.Schedule
	rows      map[rowKey]*Row
	would     []*would
	sent      []*sent
	skipped   []Decision // the skipped and the missed due times
}

// rowKey identifies a row: by its schedule, or by its task when no schedule runs it.
type rowKey struct {
	id   domain.ID
	task string
}

// would is a due time that tactus would have fired.
type would struct {
	Decision
	row         *Row
	arguments   arguments
	early, late time.Duration
	match       *sent
}

// sent is a task that some process sent.
type sent struct {
	Sent
	arguments arguments
	match     *would
	twin      *would // the nearest due time that has no match either
}

// Compare compares the tasks that were sent from since up to now with the due times that tactus would have fired.
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

// byDifference orders rows that differ before the others, and then by name and task.
func byDifference(a, b *Row) int {
	if a.differs() != b.differs() {
		if a.differs() {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Task, b.Task))
}

// decided adds a decision of the shadow. An interval matches one by one, whatever its phase, so its due times have a
// tolerance of a whole interval.
func (c *comparison) decided(d Decision) {
	if d.Fate != Fire {
		c.skipped = append(c.skipped, d)
		return
	}
	w := &would{
		Decision: d, row: c.row(d.Schedule, d.Task), arguments: shown(d.Args, d.Kwargs),
		early: c.tolerance.Early, late: c.tolerance.Early + c.tolerance.Late,
	}
	w.row.Name = d.Name
	if every := interval(w.row.schedule); every > 0 {
		w.early, w.late = max(w.early, every), max(w.late, every)
	}
	c.would = append(c.would, w)
	w.row.WouldFire++
}

// destination returns the queue or exchange to which tactus would send a task of a schedule. It returns an empty text
// when that is not known.
func (c *comparison) destination(s *domain.Schedule) string {
	if s == nil || s.Stream != "" {
		return ""
	}
	task := c.Routes[s.TaskName].Apply(s.Task())
	if task.Through() {
		return destination("", task.Exchange, task.RoutingKey)
	}
	return cmp.Or(task.Queue, c.tolerance.DefaultQueue)
}

// interval returns the interval of a schedule, or zero for one with another trigger.
func interval(s *domain.Schedule) time.Duration {
	if s == nil {
		return 0
	}
	return time.Duration(s.IntervalSeconds) * time.Second
}

// row returns the row of a schedule, or for a zero id that of a task.
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

// count adds each due time and each task to its row: as a match, as a difference with a guess at the reason, or as not
// judged.
func (c *comparison) count() {
	for _, w := range c.would {
		switch {
		case w.match != nil:
			w.row.Matched, w.row.OldSent = w.row.Matched+1, w.row.OldSent+1
			w.row.late(w.match.At.Sub(w.Fires))
			if w.arguments.differ(w.match.arguments) {
				w.row.OtherArgs++
				w.row.example("both", w.Fires,
					"the arguments differ: "+stored(w.match.Args)+" "+stored(w.match.Kwargs)+" were sent")
			}
			if ours := c.destination(w.row.schedule); ours != "" && w.match.To != "" && ours != w.match.To {
				w.row.OtherQueue++
				w.row.example("both", w.Fires,
					"the queues differ: it was sent to "+w.match.To+
						", and tactus would send it to "+ours+" (tactus import routes)")
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

// countSent adds to its row a task that matches no due time.
func (c *comparison) countSent(s *sent) {
	row := c.of(s)
	row.OldSent++
	margin := max(c.tolerance.Early+c.tolerance.Late, interval(row.schedule))
	if !c.watched(s.At.Add(-margin), s.At.Add(margin)) || c.away(row, s.At) || row.before(s.At.Add(-margin)) {
		row.Unjudged++
		return
	}
	row.OnlyOld++
	row.example("old beat", s.At, c.whyNotFired(row, s))
}

// before reports whether the row's schedule was not yet here, as a task that was due before the adoption was not.
func (r *Row) before(at time.Time) bool { return r.schedule != nil && at.Before(r.schedule.CreatedAt) }

// away reports whether the shadow was away when a task of the row was due.
func (c *comparison) away(row *Row, at time.Time) bool {
	return slices.ContainsFunc(c.skipped, func(d Decision) bool {
		return d.Fate == Missed && row.ID != nil && d.Schedule == *row.ID && d.Until != nil &&
			!at.Before(d.Due.Add(-c.tolerance.Early)) && !at.After(d.Until.Add(c.tolerance.Early+c.tolerance.Late))
	})
}

// watched reports whether one watch covers the whole time between two instants.
func (c *comparison) watched(from, to time.Time) bool {
	return slices.ContainsFunc(c.Watches, func(w Watch) bool { return !from.Before(w.Since) && !to.After(w.Until) })
}

// of returns the row that a task belongs to. Among the schedules that run the task, it prefers those with the same
// arguments.
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
		if task := of.Task(); found == nil || found.DeletedAt.IsZero() == of.DeletedAt.IsZero() &&
			!shown(task.Args, task.Kwargs).differ(s.arguments) {
			found = of
		}
	}
	if found == nil {
		return c.row(domain.ID{}, s.Task)
	}
	return c.row(found.ID, s.Task)
}

// late notes how late the old beat was. An interval is left out, because its phase differs between the beats.
func (r *Row) late(by time.Duration) {
	if interval(r.schedule) == 0 {
		r.Latest = max(r.Latest, by.Seconds())
	}
}

// example adds an example, unless the row has enough of its kind.
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

// drift counts the differences of an interval as drift when they are few: at most one, plus one in 50 matches.
func (r *Row) drift() {
	if interval(r.schedule) == 0 || r.Matched == 0 || r.OnlyTactus+r.OnlyOld > 1+r.Matched/50 {
		return
	}
	r.Drifted, r.OnlyTactus, r.OnlyOld = r.OnlyTactus+r.OnlyOld, 0, 0
	r.Examples = slices.DeleteFunc(r.Examples, func(e Example) bool { return e.Only != "both" })
}

// noneSent is the note for a report in which no sender has reported its tasks.
const noneSent = "no task-sent event was heard: set task_send_sent_event = True in the application that the old " +
	"beat runs, and start it again"

// conclude fills in the totals, the notes and the verdict.
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
		row := &r.Schedules[i]
		judged += row.Matched + row.OnlyTactus + row.OnlyOld
		r.Agree = r.Agree && !row.differs()
	}
	switch {
	case len(c.Watches) == 0:
		r.Notes = append(r.Notes, "no process has watched what is sent: start a beat with TACTUS_BEAT_SHADOW=true")
		r.Agree, r.Compared = false, false
	case r.HeardSent == 0 && r.Heard == 0:
		r.Notes = append(r.Notes, noneSent+"; or start workers with -E")
		r.Agree, r.Compared = false, false
	case r.HeardSent == 0:
		r.Notes = append(r.Notes,
			noneSent+"; what follows is what workers received, whoever sent it, and when they did")
	}
	if r.Agree && judged == 0 {
		r.Notes = append(r.Notes, "nothing could be compared yet: wait for some due times")
		r.Agree, r.Compared = false, false
	}
}
