package pages

import (
	"cmp"
	"maps"
	"net/url"
	"slices"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/catalog"
)

// runsData answers: what failed, why, and is it still failing?
type runsData struct {
	Filter runFilter
	States []choice
	Kinds  []choice
	Spans  []choice
	Chips  []chip
	Lines  []runsLine
	Older  string // the address of the next, older part
	First  bool
}

type runsLine struct {
	catalog.RunEntry
	State      state
	Due        Moment
	Name       string
	Took, Late string
	Detail     string
	Since      *state // the state of the schedule's newest run, if this run failed
}

// runFilter is what the address of the page selects.
type runFilter struct {
	State, Kind, Error, Task, Worker, Queue, Schedule, Span, Token string
	Tags                                                           []string
}

func runFilterOf(q url.Values) runFilter {
	return runFilter{
		State: q.Get("state"), Kind: q.Get("kind"), Error: q.Get("error"), Task: q.Get("task"), Worker: q.Get("worker"), Queue: q.Get("queue"),
		Schedule: q.Get("schedule"), Span: q.Get("span"), Token: q.Get("after"), Tags: q["tag"],
	}
}

func (f runFilter) texts() map[string]string {
	return map[string]string{
		"state": f.State, "kind": f.Kind, "error": f.Error, "task": f.Task, "worker": f.Worker, "queue": f.Queue, "schedule": f.Schedule, "span": f.Span,
		"after": f.Token,
	}
}

// values returns the parameters that are set.
func (f runFilter) values() url.Values {
	q := url.Values{}
	for name, value := range f.texts() {
		if value != "" {
			q.Set(name, value)
		}
	}
	for _, tag := range f.Tags {
		q.Add("tag", tag)
	}
	return q
}

func (f runFilter) address() string {
	q := f.values()
	if len(q) == 0 {
		return "/runs"
	}
	return "/runs?" + q.Encode()
}

// wrong are the states of a run that went wrong.
var wrong = []domain.RunStatus{domain.Failed, domain.Revoked, domain.Expired, domain.MissedRun, domain.Unknown}

var spans = map[string]time.Duration{"hour": time.Hour, "day": 24 * time.Hour, "week": 7 * 24 * time.Hour}

func (f runFilter) catalog(now time.Time) (c catalog.RunFilter, err error) {
	c = catalog.RunFilter{Kind: domain.RunKind(f.Kind), Task: f.Task, Queue: f.Queue, Worker: f.Worker, Error: f.Error, Tags: f.Tags}
	switch {
	case f.State == "wrong":
		c.Statuses = wrong
	case f.State == "open":
		c.Statuses = unfinished
	case f.State != "":
		c.Statuses = []domain.RunStatus{domain.RunStatus(f.State)}
	}
	if span, ok := spans[f.Span]; ok {
		from := now.Add(-span)
		c.DueFrom = &from
	}
	if f.Schedule != "" {
		id, err := domain.ParseID(f.Schedule)
		if err != nil {
			return c, domain.ErrNotFound
		}
		c.Schedule = &id
	}
	return c, nil
}

func (s *site) runs() {
	s.get("/runs", func(v *view) (string, any, error) {
		f := runFilterOf(v.r.URL.Query())
		chosen, err := f.catalog(v.Now)
		if err != nil {
			return "", nil, err
		}
		page, err := v.Catalog.Runs(v.ctx(), chosen, catalog.Page{Size: perPage, Token: f.Token})
		if err != nil {
			return "", nil, err
		}
		d := runsData{Filter: f, First: f.Token == "", Chips: f.chips(v), States: v.stateChoices(f.State)}
		if f.State == "open" { // runs that were handed over to a stream stay sent
			page.Runs = slices.DeleteFunc(page.Runs, func(r catalog.RunEntry) bool { return r.Final })
		}
		if d.Lines, err = v.runsLines(page.Runs); err != nil {
			return "", nil, err
		}
		if page.NextPageToken != "" {
			older := f
			older.Token = page.NextPageToken
			d.Older = older.address()
		}
		for _, k := range []choice{{"", v.T("any kind"), false}, {"scheduled", v.T("scheduled"), false}, {"manual", v.T("manual"), false}, {"backfill", v.T("backfill"), false}} {
			k.Chosen = k.Value == f.Kind
			d.Kinds = append(d.Kinds, k)
		}
		for _, k := range []choice{{"", v.T("any time"), false}, {"hour", v.T("last hour"), false}, {"day", v.T("last 24 hours"), false}, {"week", v.T("last 7 days"), false}} {
			k.Chosen = k.Value == f.Span
			d.Spans = append(d.Spans, k)
		}
		v.w.Header().Set("HX-Replace-Url", f.address())
		return "runs", d, nil
	})
	s.get("/runs/{id}", s.run)
	s.runActions()
}

func (v *view) stateChoices(chosen string) (all []choice) {
	all = []choice{{"", v.T("any state"), false}, {"wrong", v.T("went wrong"), false}, {"open", v.T("unfinished"), false}}
	for _, status := range slices.Sorted(maps.Keys(marks)) {
		s := stateOf(v.Lang, status)
		all = append(all, choice{string(status), s.Mark + " " + s.Word, false})
	}
	for i := range all {
		all[i].Chosen = all[i].Value == chosen
	}
	return all
}

func (f runFilter) chips(v *view) (chips []chip) {
	f.Token = ""
	add := func(text string, change func(*runFilter)) {
		without := f
		change(&without)
		chips = append(chips, chip{text, without.address()})
	}
	if f.Schedule != "" {
		add(v.T("one schedule"), func(f *runFilter) { f.Schedule = "" })
	}
	if f.Task != "" {
		add(v.T("task: %s", f.Task), func(f *runFilter) { f.Task = "" })
	}
	if f.Worker != "" {
		add(v.T("worker: %s", f.Worker), func(f *runFilter) { f.Worker = "" })
	}
	if f.Queue != "" {
		add(v.T("queue: %s", f.Queue), func(f *runFilter) { f.Queue = "" })
	}
	for i, tag := range f.Tags {
		add(v.T("tag: %s", tag), func(f *runFilter) { f.Tags = slices.Delete(slices.Clone(f.Tags), i, i+1) })
	}
	return chips
}

func (v *view) runsLines(runs []catalog.RunEntry) (lines []runsLine, err error) {
	var failing []domain.ID
	for _, r := range runs {
		if slices.Contains(wrong, r.Status) && !slices.Contains(failing, r.ScheduleID) {
			failing = append(failing, r.ScheduleID)
		}
	}
	latest := map[domain.ID]catalog.Brief{}
	if len(failing) > 0 {
		if latest, err = v.Catalog.LatestRuns(v.ctx(), failing); err != nil {
			return nil, err
		}
	}
	for _, r := range runs {
		line := v.runsLine(r)
		if l, ok := latest[r.ScheduleID]; ok && slices.Contains(wrong, r.Status) && l.ID != r.ID {
			since := stateOf(v.Lang, l.Status)
			line.Since = &since
		}
		lines = append(lines, line)
	}
	return lines, nil
}

func (v *view) runsLine(r catalog.RunEntry) runsLine {
	line := runsLine{RunEntry: r, State: stateOf(v.Lang, r.Status), Due: v.at(r.DueAt, ""), Name: r.ScheduleID.String()}
	if r.Status == domain.Sent && r.Final {
		line.State = state{"✓", v.T("handed over"), ""}
	}
	if r.ScheduleName != nil {
		line.Name = *r.ScheduleName
	}
	if r.RuntimeSeconds != nil {
		line.Took = took(v.Lang, seconds(*r.RuntimeSeconds))
	}
	if r.LatenessSeconds != nil && r.Kind == domain.Scheduled {
		line.Late = took(v.Lang, seconds(*r.LatenessSeconds))
	}
	switch {
	case r.Error != nil:
		line.Detail = lastLine(*r.Error)
	case r.Reason != nil:
		line.Detail = *r.Reason
	}
	return line
}

func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }

// runData is everything that is known about a run.
type runData struct {
	catalog.RunDetail
	Line      runsLine
	Steps     []stepLine
	Args      string
	Kwargs    string
	Result    string
	Traceback string
	Facts     []fact
	Done      *done
	Key       string // idempotency key: posting the form twice makes one run
}

// stepLine is a step of a run. A bar shows its share of the whole time.
type stepLine struct {
	Name, Took string
	At         Moment
	From, Wide int // of the bar, in thousandths of the whole time
}

// stepWords maps each step to the word for it.
var stepWords = map[string]string{
	"due": "due", "recorded": "recorded", "handed_over": "handed over", "started": "started", "finished": "finished",
}

func (s *site) run(v *view) (string, any, error) {
	id, err := domain.ParseID(v.r.PathValue("id"))
	if err != nil {
		return "", nil, domain.ErrRunNotFound
	}
	run, err := v.Catalog.RunDetail(v.ctx(), id)
	if err != nil {
		return "", nil, err
	}
	run.InQueue(cmp.Or(v.DefaultQueue, handover.DefaultQueue))
	d := runData{RunDetail: run, Line: v.runsLine(run.RunEntry), Args: pretty(run.Args), Kwargs: pretty(run.Kwargs), Result: pretty(run.Result)}
	if run.Traceback != nil {
		d.Traceback = *run.Traceback
	}
	d.Steps, d.Done, d.Key = v.steps(run.Steps), v.runDone(), newKey()
	d.Facts = v.runFacts(run)
	return "run", d, nil
}

func (v *view) steps(steps []catalog.Step) (lines []stepLine) {
	if len(steps) == 0 {
		return nil
	}
	first, last := steps[0].At, steps[len(steps)-1].At
	whole := max(last.Sub(first), time.Microsecond)
	for i, step := range steps {
		line := stepLine{Name: v.T(stepWords[step.Step]), At: v.at(step.At, "")}
		if step.Seconds != nil {
			line.Took = took(v.Lang, seconds(*step.Seconds))
		}
		if i > 0 {
			from := max(steps[i-1].At.Sub(first), 0)
			line.From = min(990, int(1000*from/whole))
			line.Wide = max(4, min(1000-line.From, int(1000*max(step.At.Sub(steps[i-1].At), 0)/whole)))
		}
		lines = append(lines, line)
	}
	return lines
}

func (v *view) runFacts(r catalog.RunDetail) (all []fact) {
	add := func(name string, value *string) {
		if value != nil && *value != "" {
			all = append(all, fact{v.T(name), *value})
		}
	}
	add("task", r.TaskName)
	add("queue", r.Queue)
	add("stream", r.Stream)
	add("worker", r.Worker)
	kind := v.T(string(r.Kind))
	add("kind", &kind)
	add("reason", r.Reason)
	add("triggered by", &r.By)
	add("on behalf of", &r.OnBehalfOf)
	add("because", &r.Why)
	for _, n := range []struct {
		name  string
		count int
	}{{"attempts", r.Attempts}, {"handed over again", r.Redelivered}} {
		if n.count > 0 {
			text := count(int64(n.count))
			all = append(all, fact{v.T(n.name), text})
		}
	}
	version := count(r.Version)
	add("version of the schedule", &version)
	return all
}
