package catalog

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/access"
)

// outlook caches the enabled schedules between requests, with everything that their due times follow from. A request
// for upcoming due times then costs only the schedules that have changed since the previous request, and the number of
// distinct plans, instead of a read of every row.
//
// The outlook follows the log: each request finds, by snapshots, the schedules with events that no earlier request has
// seen, and reads their rows again. Before the due times that were found are returned, their schedules are looked up in
// the table, because no event says that max_runs has been reached, and because a schedule may have changed meanwhile.
type outlook struct {
	turn chan struct{} // holding its token allows to read and change the other fields

	heard  heard
	loaded time.Time // when all schedules were read; zero until they have been
	most   int       // bytes to keep
	over   bool      // there were more schedules than may be kept, so none are
	kept
}

// kept is the content of an outlook.
type kept struct {
	bytes      int // an estimate
	schedules  map[domain.ID]*member
	plans      map[planKey]*plan
	byCalendar map[*plan]bool
	policies   map[string]*domain.Policy // nil: cannot be read
	tags       map[string][]string
	sets       domain.CalendarSets
	versions   map[string]string // of the calendars in sets
}

// member is a schedule of a plan.
type member struct {
	id        domain.ID
	version   int64
	effective int64 // microseconds since 1970: from when on due times count, or the end of a skip if that is later
	name      string
	tags      []string
	plan      *plan
	place     int // in the members of its plan
}

// plan has what due times follow from, except for the instant from which they count. Many schedules share a plan.
type plan struct {
	key       planKey
	base      domain.Recurrence // nil: cannot be read
	rule      domain.Recurrence // without excluded due times; nil: cannot be read, or a calendar does not exist
	known     bool              // rule is set
	policy    *domain.Policy
	members   []*member
	searched  time.Time // the first due time after it is next
	next      time.Time
	hasNext   bool
	remembers bool // next is known
}

type planKey struct {
	trigger string
	policy  *domain.Policy
	anchor  int64 // microseconds since 1970; of a schedule without one, least
}

const least = -1 << 63

// maxOutlook is how many bytes an outlook may keep. If the schedules take more, every request reads all rows.
const maxOutlook = 128 << 20

// The estimated sizes of schedules and plans without their texts, including their share of maps and slices.
const (
	memberBytes = 200
	planBytes   = 500
	textTimes   = 4 // a compiled trigger is larger than its text
)

func newOutlook() *outlook {
	return &outlook{turn: make(chan struct{}, 1), most: maxOutlook, kept: newKept()}
}

func newKept() kept {
	return kept{
		schedules: map[domain.ID]*member{}, plans: map[planKey]*plan{}, byCalendar: map[*plan]bool{},
		policies: map[string]*domain.Policy{}, tags: map[string][]string{},
		sets: domain.CalendarSets{}, versions: map[string]string{},
	}
}

// put adds a schedule, or replaces what was known about it.
func (k *kept) put(row outlookRow) {
	k.drop(row.ID)
	p := k.planOf(row.aheadRow)
	m := &member{
		id: row.ID, version: row.Version, effective: row.Effective.UnixMicro(),
		name: row.Name, tags: k.intern(row.Tags), plan: p, place: len(p.members),
	}
	p.members = append(p.members, m)
	k.schedules[m.id] = m
	k.bytes += memberBytes + len(m.name)
}

// drop removes a schedule.
func (k *kept) drop(id domain.ID) {
	m := k.schedules[id]
	if m == nil {
		return
	}
	delete(k.schedules, id)
	k.bytes -= memberBytes + len(m.name)
	p, last := m.plan, len(m.plan.members)-1
	p.members[m.place] = p.members[last]
	p.members[m.place].place = m.place
	p.members[last] = nil
	if p.members = p.members[:last]; last == 0 {
		delete(k.plans, p.key)
		delete(k.byCalendar, p)
		k.bytes -= planBytes + textTimes*len(p.key.trigger)
	}
}

// planOf returns the plan of a row.
func (k *kept) planOf(row aheadRow) *plan {
	policy, known := k.policies[row.Policy]
	if !known {
		if parsed, err := domain.ParsePolicy(row.Policy); err == nil {
			policy = &parsed
		}
		k.policies[row.Policy] = policy
		k.bytes += planBytes + textTimes*len(row.Policy)
	}
	key := planKey{row.Trigger, policy, least}
	var anchor time.Time
	if row.Anchor != nil {
		anchor = *row.Anchor
		key.anchor = anchor.UnixMicro()
	}
	if p := k.plans[key]; p != nil {
		return p
	}
	p := &plan{key: key, policy: policy}
	if trigger, err := domain.ParseTrigger(row.Trigger); err == nil && policy != nil {
		p.base, _ = trigger.Recurrence(anchor)
	}
	if p.base != nil && policy.Calendars != nil {
		k.byCalendar[p] = true
	} else {
		p.rule = p.base
	}
	k.plans[key] = p
	k.bytes += planBytes + textTimes*len(row.Trigger)
	return p
}

// intern returns an equal list of tags that is kept only once.
func (k *kept) intern(tags []string) []string {
	if len(tags) == 0 {
		return nil
	}
	key := strings.Join(tags, "\x00")
	known, is := k.tags[key]
	if !is {
		known = tags
		k.tags[key] = known
		k.bytes += memberBytes + 2*len(key) + 16*len(tags)
	}
	return known
}

// first returns the first due time after an instant, for schedules whose due times count from before that instant.
func (p *plan) first(after time.Time) (time.Time, bool) {
	if p.remembers && !after.Before(p.searched) && (!p.hasNext || after.Before(p.next)) {
		return p.next, p.hasNext
	}
	p.searched, p.remembers = after, true
	p.next, p.hasNext = timetable{p.rule, p.base, *p.policy, after}.next(after)
	return p.next, p.hasNext
}

// asked is a question to the outlook.
type asked struct {
	tags, scopeTags, scopeNames []string
	from, to                    time.Time
	most                        int
	spent                       map[domain.ID]bool // schedules that have no runs left
}

func ask(ctx context.Context, tags []string, from, to time.Time, most int) asked {
	scope := access.From(ctx).Scope
	return asked{tags, scope.Tags(), scope.Prefixes(), from, to, most, map[domain.ID]bool{}}
}

// sees reports whether a schedule has all the tags asked for, and is in the scope of the request. It is the counterpart
// of schedulesAhead, which tests rows.
func (a asked) sees(m *member) bool {
	for _, tag := range a.tags {
		if !slices.Contains(m.tags, tag) {
			return false
		}
	}
	if len(a.scopeTags)+len(a.scopeNames) == 0 {
		return true
	}
	return slices.ContainsFunc(a.scopeTags, func(tag string) bool { return slices.Contains(m.tags, tag) }) ||
		slices.ContainsFunc(a.scopeNames, func(prefix string) bool { return strings.HasPrefix(m.name, prefix) })
}

// holds reports whether the table still has the versions of schedules from which the outlook has found due times. It
// notes schedules that have no runs left.
func (a asked) holds(known map[domain.ID]int64, names map[domain.ID]nameRow) bool {
	holds := true
	for id, row := range names {
		if row.Version == known[id] && !row.HasLeft {
			a.spent[id] = true
		}
		holds = holds && row.Version == known[id] && row.HasLeft
	}
	return holds
}

// find returns the soonest of the due times asked for, and one more, with the versions of their schedules. versions is
// nil if the outlook has no room for all schedules.
func (o *outlook) find(ctx context.Context, tx pgx.Tx, a asked) (
	found soonest, versions map[domain.ID]int64, err error,
) {
	select {
	case o.turn <- struct{}{}:
		defer func() { <-o.turn }()
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	if err := o.refresh(ctx, tx, time.Now()); err != nil || o.over {
		return nil, nil, err
	}
	if found, err = o.kept.find(ctx, a); err != nil {
		return nil, nil, err
	}
	versions = map[domain.ID]int64{}
	for _, due := range found {
		versions[due.schedule] = o.schedules[due.schedule].version
	}
	return found, versions, nil
}

// looksBetween is how many plans find looks at before it checks again whether the client is still there.
const looksBetween = 1000

// find returns the soonest of the due times asked for, and one more.
func (k *kept) find(ctx context.Context, a asked) (found soonest, err error) {
	after, looks := a.from.Add(-time.Microsecond), 0
	for _, p := range k.plans {
		if looks++; looks%looksBetween == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if p.rule == nil {
			continue
		}
		first, ok := p.first(after)
		if !ok || !first.Before(a.to) {
			continue
		}
		for _, m := range p.members {
			if found.takes(first, m.id, a.most+1) && a.sees(m) && !a.spent[m.id] {
				due := timetable{p.rule, p.base, *p.policy, time.UnixMicro(m.effective)}
				found.addAll(m.id, due, a.from, a.to, a.most+1)
			}
		}
	}
	return found, nil
}
