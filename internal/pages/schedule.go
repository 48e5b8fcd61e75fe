package pages

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/catalog"
)

// scheduleData answers: when will it run, what did it do, who changed it?
type scheduleData struct {
	catalog.Entry
	Words   string
	Enabled bool
	Halted  []string // who paused it, why, since when and until when
	Facts   []fact
	Due     []dueLine
	Runs    []runLine
	Changes []changeLine
	Older   string // the address of the log of earlier changes
	Done    *done
	Created Moment
	Args    string
	Kwargs  string
	NextDue *Moment
	Result  *result
	Spark   Spark
	Show    string // link text to further runs
	Skips   bool   // some due times to come are skipped
	Refused refusal

	Backfills []backfillLine
	Plan      *backfillPlan
}

type fact struct{ Name, Value string }

// dueLine is a due time to come, or a local time that a change of clocks skips.
type dueLine struct {
	Moment
	Mark, Says string
	Skipped    bool
	Own        string // in the schedule's zone
	Fires      string // there, too, if jitter or spread delay it
	Yours, UTC string
}

// runLine is a run in a list. The chart reads its figures from the attributes of the row.
type runLine struct {
	catalog.Brief
	State  state
	Due    Moment
	Took   string
	Late   string
	Detail string
	TookMs int64 // -1 if it is not known
	LateMs int64
}

// done says what an action did, and how to undo it if that is possible.
type done struct{ Says, Undo, Back string }

const (
	nextShown = 20
	runsShown = 100
)

func (s *site) schedule() {
	s.get("/schedules/{id}", func(v *view) (string, any, error) {
		id, err := v.id()
		if err != nil {
			return "", nil, err
		}
		d, err := s.scheduleData(v, id)
		return "schedule", d, err
	})
	s.post("/schedules/{id}/run", s.runNow)
	s.post("/schedules/{id}/enable", s.setEnabled)
	s.post("/schedules/{id}/disable", s.pause)
	s.post("/schedules/{id}/skip", s.skip)
	s.post("/schedules/{id}/revert", s.revert)
	s.post("/schedules/{id}/backfill", s.backfill)
	s.post("/schedules/{id}/backfills/{backfill}/cancel", s.cancelBackfill)
	s.get("/schedules/{id}/delete", func(v *view) (string, any, error) {
		id, err := v.id()
		if err != nil {
			return "", nil, err
		}
		entry, err := v.Catalog.Get(v.ctx(), id)
		return "delete", entry, err
	})
	s.post("/schedules/{id}/delete", func(v *view) error {
		id, err := v.id()
		if err != nil {
			return err
		}
		entry, err := v.Catalog.Get(v.ctx(), id)
		if err != nil {
			return err
		}
		if err := v.Store.Delete(v.ctx(), id, v.version()); err != nil {
			return err
		}
		return v.redirect("/schedules?did=deleted&name=" + url.QueryEscape(entry.Name))
	})
}

// scheduleData reads what the page of a schedule shows.
func (s *site) scheduleData(v *view, id domain.ID) (d scheduleData, err error) {
	entry, err := v.Catalog.Get(v.ctx(), id)
	if err != nil {
		return d, err
	}
	runs, err := v.Catalog.Newest(v.ctx(), id, runsShown)
	if err != nil {
		return d, err
	}
	changes, next, err := v.Catalog.Changes(v.ctx(), catalog.EventFilter{Schedule: &id}, 0, 10)
	if err != nil {
		return d, err
	}
	d = scheduleData{Entry: entry, Words: v.describe(entry), Enabled: entry.IsEnabled(), Halted: v.halted(entry.Halt, entry.State, entry.Timezone), Done: v.done(entry), Created: v.at(entry.CreatedAt, "")}
	d.Due, d.NextDue = v.due(entry), v.maybeAt(entry.NextRunAt, entry.Timezone)
	d.Args, d.Kwargs = pretty(entry.Args), pretty(entry.Kwargs)
	d.Facts = v.facts(entry)
	for _, r := range runs {
		d.Runs = append(d.Runs, v.runLine(r, entry.Timezone))
	}
	line := catalog.Line{Last: runs}
	line.Trigger.Timezone = entry.Timezone
	d.Result, d.Spark = v.result(line), v.spark(runs[:min(len(runs), 30)])
	d.Skips = entry.SkipUntil.After(v.Now)
	d.Changes = v.changeLines(changes)
	for i := range d.Changes {
		if d.Changes[i].Version < entry.Version && entry.ManagedBy == "" && v.MayWrite() {
			d.Changes[i].Revert = fmt.Sprintf("/schedules/%s/revert", id)
			d.Changes[i].Read = entry.Version
		}
	}
	if d.Backfills, err = v.backfillLines(entry); err != nil {
		return d, err
	}
	if next > 0 {
		d.Older = fmt.Sprintf("/log?schedule=%s&before=%d", id, next)
	}
	return d, nil
}

// halted says who paused a schedule or had it skip due times, why, since when and until when.
func (v *view) halted(h domain.Halt, state, zoneName string) (said []string) {
	add := func(text, value string) {
		if value != "" {
			said = append(said, v.T(text, value))
		}
	}
	clock := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return v.at(t, zoneName).Clock
	}
	if state == domain.Paused {
		add("by %s", h.PausedBy)
		add("because: %s", h.PauseReason)
		add("since %s", clock(h.PausedAt))
		add("until %s", clock(h.PausedUntil))
	}
	if h.SkipUntil.After(v.Now) {
		add("skips what is due until %s", clock(h.SkipUntil))
		add("because: %s", h.SkipReason)
	}
	return said
}

// describe describes the trigger in the words that the list uses.
func (v *view) describe(e catalog.Entry) string {
	trigger, anchor := e.Trigger()
	return words(v.Lang, trigger, anchor)
}

func (v *view) id() (domain.ID, error) {
	id, err := domain.ParseID(v.r.PathValue("id"))
	if err != nil {
		return id, domain.ErrNotFound
	}
	return id, nil
}

// version returns the version of the schedule that the form was made from, or 0 if any will do.
func (v *view) version() int64 {
	version, _ := strconv.ParseInt(v.r.PostFormValue("version"), 10, 64) // otherwise 0: any version
	return version
}

// done says what the previous action did. It reads this from the address, so that no server has to remember it.
func (v *view) done(e catalog.Entry) *done {
	self := "/schedules/" + e.ID.String()
	switch v.r.URL.Query().Get("did") {
	case "disabled":
		return &done{v.T("Disabled: nothing of it fires any more."), self + "/enable", v.T("Enable it again")}
	case "enabled":
		return &done{v.T("Enabled: it fires from now on."), self + "/disable", v.T("Disable it again")}
	case "skipped":
		return &done{v.T("Skips what is due next, as below."), self + "/skip?count=0", v.T("Skip nothing")}
	case "reverted":
		return &done{Says: v.T("It has its former definition again, as a new version.")}
	case "backfilled":
		return &done{Says: v.T("A backfill has begun; its runs appear below as it goes on.")}
	case "cancelled":
		return &done{Says: v.T("The backfill makes no further runs.")}
	case "undone":
		return &done{Says: v.T("Put back as it was.")}
	case "created":
		return &done{Says: v.T("Created.")}
	case "saved":
		return &done{Says: v.T("Saved.")}
	case "ran":
		return &done{Says: v.T("A run was handed over to be started; it appears below as it goes on.")}
	}
	return nil
}

// due returns the due times to come, and between them the local times that a change of clocks skips.
func (v *view) due(e catalog.Entry) (all []dueLine) {
	preview, err := e.Preview(domain.Ask{After: v.Now, N: nextShown, Language: v.Lang, Done: e.Done})
	if err != nil || e.NextRunAt == nil {
		return nil
	}
	return v.dueLines(preview, e.Timezone)
}

func (v *view) dueLines(p domain.Preview, zoneName string) (all []dueLine) {
	marks := map[int64]domain.Mark{}
	for _, m := range p.Marks {
		marks[m.At.Unix()] = m
		if m.Mark == "skipped" || m.Mark == "excluded" {
			all = append(all, v.dueLine(m.At, zoneName, &m))
		}
	}
	for n, at := range p.DueTimes {
		var mark *domain.Mark
		if m, ok := marks[at.Unix()]; ok && m.Mark != "skipped" && m.Mark != "excluded" {
			mark = &m
		}
		line := v.dueLine(at, zoneName, mark)
		if n < len(p.FiresAt) && !p.FiresAt[n].Equal(at) {
			line.Fires = v.T("fires at %s", p.FiresAt[n].Format(time.TimeOnly))
			if p.FiresAt[n].Format(time.DateOnly) != at.Format(time.DateOnly) {
				line.Fires = v.T("fires at %s", p.FiresAt[n].Format(time.DateTime))
			}
		}
		all = append(all, line)
	}
	slices.SortStableFunc(all, func(a, b dueLine) int { return cmp.Compare(a.ISO, b.ISO) })
	return all
}

func (v *view) dueLine(at time.Time, zoneName string, m *domain.Mark) dueLine {
	line := dueLine{Moment: v.at(at, zoneName), Own: at.Format("2006-01-02 15:04"), UTC: at.UTC().Format("01-02 15:04")}
	if at.Second() != 0 {
		line.Own = at.Format(time.DateTime)
	}
	if v.Zone != nil {
		line.Yours = at.In(v.Zone).Format("01-02 15:04")
	}
	if m == nil {
		return line
	}
	wall := strings.Replace(m.Wall, "T", " ", 1)
	switch m.Mark {
	case "moved":
		line.Mark, line.Says = "↷", v.T("moved: the clocks skip %s that day", wallClock(wall))
	case "skipped":
		line.Mark, line.Says, line.Skipped = "⊘", v.T("skipped: the clocks skip %s that day", wallClock(wall)), true
		line.Own = wall
	case "excluded":
		line.Mark, line.Says, line.Skipped = "⊘", v.T("excluded by calendars: %s", m.Reason), true
	case "shifted":
		line.Mark, line.Says = "↷", v.T("moved here by calendars from %s", wall)
	case "repeated":
		line.Mark, line.Says = "②", v.T("the clocks show this time twice that day: the first")
		if m.Copy > 1 {
			line.Says = v.T("the clocks show this time twice that day: the second")
		}
	}
	return line
}

// wallClock returns the time of a local date and time, without seconds that are zero.
func wallClock(wall string) string {
	_, clock, _ := strings.Cut(wall, " ")
	return strings.TrimSuffix(clock, ":00")
}

func (v *view) runLine(r catalog.Brief, zoneName string) runLine {
	line := runLine{Brief: r, State: stateOf(v.Lang, r.Status), Due: v.at(r.DueAt, zoneName), TookMs: -1, Detail: r.Reason}
	if d, ok := r.Took(); ok {
		line.Took, line.TookMs = took(v.Lang, d), d.Milliseconds()
	}
	if r.Kind == domain.Scheduled && r.Reason == "" {
		late := r.FiredAt.Sub(r.DueAt)
		line.Late, line.LateMs = took(v.Lang, late), late.Milliseconds()
	}
	if r.Error != "" {
		line.Detail = lastLine(r.Error)
	}
	return line
}

// facts lists what the definition says besides its trigger, without members that have their defaults.
func (v *view) facts(e catalog.Entry) (all []fact) {
	add := func(name, value string) {
		if value != "" {
			all = append(all, fact{v.T(name), value})
		}
	}
	number := func(n int64) string {
		if n == 0 {
			return ""
		}
		return count(n)
	}
	add("task", e.TaskName)
	add("queue", e.Queue)
	add("stream", e.Stream)
	add("exchange", e.Exchange)
	add("routing key", e.RoutingKey)
	if e.Priority != nil {
		add("priority", strconv.Itoa(*e.Priority))
	}
	trigger := e.Definition.CronExpression
	if e.RRule != "" {
		trigger = e.RRule
	}
	add("expression", trigger)
	if e.IntervalSeconds > 0 {
		add("counted from", e.IntervalAnchor)
	}
	add("time zone", e.Timezone)
	add("not on the days of", strings.Join(e.ExcludeCalendars, ", "))
	add("only on the days of", strings.Join(e.OnlyCalendars, ", "))
	add("what is excluded", e.OnExcluded)
	add("starts", e.StartsAt)
	add("ends", e.EndsAt)
	add("at most so many runs", number(e.MaxRuns))
	add("jitter, in seconds", number(e.JitterSeconds))
	add("spread, in seconds", number(e.SpreadSeconds))
	add("runs that overlap", e.ExecutionPolicy)
	add("missed due times", e.MisfirePolicy)
	add("expires after seconds", number(e.ExpiresSeconds))
	add("time limit, in seconds", number(e.TimeLimitSeconds))
	if e.Category != nil {
		add("category", *e.Category)
	}
	return all
}

// pretty indents JSON and keeps the order of members and the digits of numbers. It returns other texts unchanged.
func pretty(raw json.RawMessage) string {
	var out bytes.Buffer
	if len(raw) < 60 || json.Indent(&out, raw, "", "  ") != nil {
		return string(raw)
	}
	return out.String()
}
