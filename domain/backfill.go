package domain

import (
	"fmt"
	"slices"
	"time"

	"github.com/tactus-dev/tactus/domain/calendar"
	"github.com/tactus-dev/tactus/domain/cron"
)

// BackfillRequest asks for runs of a schedule for due times of the past.
type BackfillRequest struct {
	From            string `json:"from" doc:"The first instant whose due time is to run: RFC 3339, or a local time of the schedule's zone."`
	To              string `json:"to,omitempty" doc:"The last such instant; now unless given."`
	ExecutionPolicy string `json:"execution_policy,omitempty" enum:"allow,queue" doc:"Whether a run may begin while another run of the schedule is unfinished: allow has it begin (each run looks at its own day), queue has it wait for the other (each run goes on from the one before). queue unless given for a schedule with the execution policy skip or queue, else allow."`
	Order           string `json:"order,omitempty" enum:"oldest_first,newest_first" doc:"In which order the due times run: oldest_first (balances that build on those before), newest_first (a chart whose last days are looked at). oldest_first unless given."`
	MaxActive       *int   `json:"max_active,omitempty" minimum:"1" maximum:"100" doc:"How many of its runs may be unfinished at a time; 1 unless given."`
	Again           bool   `json:"again,omitempty" doc:"Run also what ran already."`
	DryRun          bool   `json:"dry_run,omitempty" doc:"Only say what would run."`
	Reason          string `json:"reason,omitempty" maxLength:"1000" doc:"Why: the events of its runs say so."`
}

// Orders of a backfill.
const (
	OldestFirst = "oldest_first"
	NewestFirst = "newest_first"
)

// Bounds of a backfill.
const (
	MaxBackfill       = 10_000  // due times
	MaxBackfillActive = 100     // unfinished runs
	maxBackfillSteps  = 200_000 // due times looked at, those that calendars exclude among them
)

// BackfillPlan says which due times a backfill runs, and how.
type BackfillPlan struct {
	From, To        time.Time
	ExecutionPolicy string
	Order           string
	MaxActive       int
	Again           bool
	Reason          string
	DueTimes        []time.Time // in the order in which they run
	LeftOut         LeftOut
	Excluded        []time.Time // those of LeftOut that calendars exclude, as far as they are listed
}

// LeftOut counts the due times of a range that a backfill does not run.
type LeftOut struct {
	Ran      int `json:"ran" doc:"They have a run already, which the schedule or another backfill made."`
	Skipped  int `json:"skipped" doc:"Somebody skipped them by hand."`
	Excluded int `json:"excluded" doc:"The calendars of the schedule exclude them."`
}

// PlanBackfill finds the due times of a request by the trigger that the schedule has now, its starts_at and ends_at,
// and its calendars, if Sets has them. Whether the schedule existed then, or was enabled, does not matter. Nothing may
// be due after now, or before oldest, whose runs are not kept any more. The error is Faults, with every fault found.
func (s Schedule) PlanBackfill(ask BackfillRequest, now, oldest time.Time) (BackfillPlan, error) {
	var faults Faults
	p := BackfillPlan{
		ExecutionPolicy: ask.ExecutionPolicy, Order: ask.Order, MaxActive: 1, Again: ask.Again, To: now,
		Reason: haltReason(ask.Reason, &faults),
	}
	s.backfillRange(ask, &p, now, oldest, &faults)
	s.backfillManner(ask, &p, &faults)
	if faults != nil {
		return BackfillPlan{}, faults
	}
	due, err := s.dueBetween(&p)
	if err != nil {
		return BackfillPlan{}, err
	}
	if p.DueTimes = due; len(due) == 0 && p.LeftOut.Excluded == 0 {
		faults.add("backfill_empty", "/from", "nothing is due between %s and %s: give another range", stampOf(p.From),
			stampOf(p.To))
	}
	if p.Order == NewestFirst {
		slices.Reverse(due)
	}
	return p, faults.err()
}

func stampOf(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// backfillRange reads the range of a request.
func (s Schedule) backfillRange(ask BackfillRequest, p *BackfillPlan, now, oldest time.Time, faults *Faults) {
	location, err := zoneOf(s.Definition)
	if err != nil {
		location = time.UTC
	}
	read := func(field, text string, into *time.Time) bool {
		at, err := parseTime(text, location, cron.GapPolicy(s.DSTGap), cron.OverlapPolicy(s.DSTOverlap))
		if err != nil {
			faults.add("time_invalid", field, "%v", err)
			return false
		}
		*into = at.UTC().Truncate(time.Microsecond)
		return true
	}
	if ask.From == "" {
		faults.add("from_missing", "/from", "say from when on: a time, such as 2027-01-31T00:00:00Z")
	}
	from := ask.From != "" && read("/from", ask.From, &p.From)
	to := ask.To == "" || read("/to", ask.To, &p.To)
	switch {
	case to && p.To.After(now):
		faults.add("backfill_in_future", "/to", "%s is to come: the schedule fires by itself then; give now (%s) or earlier, "+
			"or leave it out", ask.To, stampOf(now))
	case from && p.From.After(now):
		faults.add("backfill_in_future", "/from", "%s is to come: give a time that is past", ask.From)
	case from && to && p.To.Before(p.From):
		faults.add("end_before_start", "/to", "%s is before from (%s)", stampOf(p.To), stampOf(p.From))
	case from && p.From.Before(oldest):
		faults.add("backfill_too_old", "/from", "runs of due times before %s are not kept any more (TACTUS_RUN_RETENTION), "+
			"so nobody could tell what has run: give a later time", stampOf(oldest.Truncate(time.Second).Add(time.Second)))
	}
}

// backfillManner reads how the due times of a request are to run.
func (s Schedule) backfillManner(ask BackfillRequest, p *BackfillPlan, faults *Faults) {
	overlaps := s.ExecutionPolicy == OverlapSkip || s.ExecutionPolicy == OverlapQueue
	switch {
	case p.ExecutionPolicy == "" && overlaps:
		p.ExecutionPolicy = OverlapQueue
	case p.ExecutionPolicy == "":
		p.ExecutionPolicy = OverlapAllow
	case p.ExecutionPolicy == OverlapQueue && s.Stream != "":
		faults.add("overlap_requires_tracking", "/execution_policy", "nobody reports when a run on a stream has ended: give allow")
	case p.ExecutionPolicy != OverlapAllow && p.ExecutionPolicy != OverlapQueue:
		faults.add("choice_invalid", "/execution_policy", "%q: want allow or queue (a backfill leaves out nothing because of an "+
			"unfinished run)", p.ExecutionPolicy)
	}
	if p.Order == "" {
		p.Order = OldestFirst
	} else if p.Order != OldestFirst && p.Order != NewestFirst {
		faults.add("choice_invalid", "/order", "%q: want oldest_first or newest_first", p.Order)
	}
	if ask.MaxActive != nil {
		p.MaxActive = *ask.MaxActive
	}
	if p.MaxActive < 1 || p.MaxActive > MaxBackfillActive {
		faults.add("out_of_range", "/max_active", "%d: want 1 to %d", p.MaxActive, MaxBackfillActive)
	} else if p.MaxActive > 1 && p.ExecutionPolicy == OverlapQueue {
		faults.add("out_of_range", "/max_active", "%d: under the execution policy queue runs do not overlap, so it is 1; give "+
			"execution_policy allow if they may", p.MaxActive)
	}
}

// dueBetween returns the due times of the range of a plan, oldest first, and notes which of them calendars exclude.
func (s Schedule) dueBetween(p *BackfillPlan) (due []time.Time, err error) {
	trigger, anchor := s.Trigger()
	recurrence, err := trigger.Recurrence(anchor)
	if err != nil {
		return nil, err
	}
	var filter *calendar.Filter
	if rule := s.calendarRule(); rule != nil {
		if filter, err = rule.Filter(s.Sets); err != nil {
			return nil, err
		}
		if !rule.Skips() {
			recurrence, filter = filter.Apply(recurrence), nil
		}
	}
	policy := s.Definition.Policy()
	at := policy.from(p.From.Add(-1))
	for steps := 0; ; {
		next, ok, took := calendar.NextCounted(recurrence, at)
		if !ok || !policy.allows(next) || next.After(p.To) {
			return due, nil
		}
		if steps += max(took, 1); len(due) == MaxBackfill || steps > maxBackfillSteps {
			return nil, tooManyDue(len(due), at)
		}
		at = next
		if filter != nil {
			if _, excluded := filter.Excluded(at); excluded {
				if p.LeftOut.Excluded++; p.LeftOut.Excluded <= MaxFaults {
					p.Excluded = append(p.Excluded, at)
				}
				continue
			}
		}
		due = append(due, at)
	}
}

// tooManyDue is the fault of a range with more due times than a backfill takes.
func tooManyDue(n int, last time.Time) error {
	return Faults{{Kind: Invalid, Code: "backfill_too_large", Field: "/to", Message: fmt.Sprintf("there are more due times "+
		"than one backfill takes: the first %d of them end at %s; give that as to, and the rest to another backfill", n,
		stampOf(last))}}
}

// Without returns a plan without the due times that why gives a reason for, as sqlexpr.LeftOut does.
func (p BackfillPlan) Without(why []string) BackfillPlan {
	all := p.DueTimes
	p.DueTimes = make([]time.Time, 0, len(all))
	for i, at := range all {
		switch why[i] {
		case "ran":
			p.LeftOut.Ran++
		case "skipped":
			p.LeftOut.Skipped++
		default:
			p.DueTimes = append(p.DueTimes, at)
		}
	}
	return p
}

// Nothing is the fault of a plan that would run nothing; nil for others.
func (p BackfillPlan) Nothing() error {
	if len(p.DueTimes) > 0 {
		return nil
	}
	return Faults{{Kind: Invalid, Code: "backfill_empty", Field: "/from", Message: fmt.Sprintf("nothing would run: of the due "+
		"times between %s and %s %d have run already (\"again\": true runs them again), %d were skipped by hand, and calendars "+
		"exclude %d",
		stampOf(p.From), stampOf(p.To), p.LeftOut.Ran, p.LeftOut.Skipped, p.LeftOut.Excluded)}}
}
