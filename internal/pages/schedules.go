package pages

import (
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/cron"
	"github.com/tactus-dev/tactus/internal/access"
	"github.com/tactus-dev/tactus/internal/catalog"
)

const perPage = 50

// schedulesData answers: which schedules are there, when do they run next, and did their newest runs succeed?
type schedulesData struct {
	Counts catalog.Counts
	Lines  []scheduleLine
	Total  string
	Chips  []chip
	Filter listFilter
	Orders []choice
	States []choice
	Lasts  []choice
	Known  []string // names of calendars, as suggestions
	First  string   // the address of the first part; empty on the first part
	All    string   // how many schedules a bulk action for all would change; empty if that is not counted
	Page   int
	Prev   string // addresses of the neighbouring parts
	Next   string
	Empty  bool // there is no schedule at all
	Server string
	Note   string
	Done   *done
}

// scheduleLine is a row of the table.
type scheduleLine struct {
	catalog.Line
	Words  string
	Halted []string
	Due    *Moment
	Result *result
	Spark  Spark
	Tagged []chip
}

// result tells how the newest run ended.
type result struct {
	State  state
	Took   string
	Detail string
	At     Moment
	Run    domain.ID
}

// chip is a filter with the address of the list that results from clicking it: a filter that is set is removed, another
// one is added.
type chip struct{ Text, Address string }

type choice struct {
	Value, Text string
	Chosen      bool
}

// listFilter is what the address of the list selects.
type listFilter struct {
	Query, State, Task, Category string
	Last, Queue, Calendar        string
	Text, Owner                  string
	Tags                         []string
	Order                        catalog.Order
	Page                         int
	Token                        string // the place to go on, in a list whose schedules are examined one by one
}

func filterOf(q url.Values) listFilter {
	f := listFilter{
		Query: q.Get("q"), State: q.Get("state"), Task: q.Get("task"), Category: q.Get("category"), Order: catalog.Order(q.Get("order")), Page: 1,
		Last: q.Get("last"), Queue: q.Get("queue"), Calendar: q.Get("calendar"), Token: q.Get("after"),
		Text: q.Get("text"), Owner: q.Get("owner"),
	}
	for _, tag := range q["tag"] {
		if tag != "" && !slices.Contains(f.Tags, tag) && len(f.Tags) < 50 {
			f.Tags = append(f.Tags, tag)
		}
	}
	if f.Order != catalog.ByName && f.Order != catalog.ByNewest {
		f.Order = catalog.ByNext
	}
	if q.Has("order") && q.Get("order") == "newest" {
		f.Order = catalog.ByNewest
	} else if f.Order == catalog.ByNewest {
		f.Order = catalog.ByNext
	}
	if n, err := strconv.Atoi(q.Get("page")); err == nil && n > 1 && n <= 1_000_000 {
		f.Page = n
	}
	return f
}

// chosen returns the parameters that select schedules, for addresses and forms.
func (f listFilter) chosen() url.Values {
	q := url.Values{}
	for name, value := range map[string]string{
		"q": f.Query, "state": f.State, "task": f.Task, "category": f.Category, "last": f.Last, "queue": f.Queue, "calendar": f.Calendar,
		"text": f.Text, "owner": f.Owner,
	} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if len(f.Tags) > 0 {
		q["tag"] = f.Tags
	}
	return q
}

// address returns the address of the list with this filter. Parameters with their defaults are left out.
func (f listFilter) address() string {
	q := f.chosen()
	switch f.Order {
	case catalog.ByNewest:
		q.Set("order", "newest")
	case catalog.ByName:
		q.Set("order", "name")
	}
	if f.Page > 1 {
		q.Set("page", strconv.Itoa(f.Page))
	}
	if f.Token != "" {
		q.Set("after", f.Token)
	}
	if len(q) == 0 {
		return "/schedules"
	}
	return "/schedules?" + q.Encode()
}

func (f listFilter) catalog() catalog.Filter {
	c := catalog.Filter{
		Query: f.Query, Task: f.Task, Category: f.Category, Tags: f.Tags, Limit: perPage, Offset: (f.Page - 1) * perPage,
		LastStatus: domain.RunStatus(f.Last), Queue: f.Queue, Calendar: f.Calendar, Text: f.Text, Owner: f.Owner,
	}
	switch f.State {
	case domain.Unfit: // this state has an index of its own
		yes := true
		c.Invalid = &yes
	case domain.Active, domain.Paused, domain.Completed:
		c.State = f.State
	}
	return c
}

func (s *site) schedules() {
	s.get("/schedules", func(v *view) (string, any, error) {
		f := filterOf(v.r.URL.Query())
		d := schedulesData{Filter: f, Page: f.Page, Chips: v.chips(f), Server: v.Server(), Done: v.listDone()}
		var err error
		if d.Counts, err = v.Catalog.Counts(v.ctx()); err != nil {
			return "", nil, err
		}
		if err := v.fillBoard(&d, f); err != nil {
			return "", nil, err
		}
		d.Empty = d.Counts == catalog.Counts{}
		for _, o := range []choice{{"next", v.T("next due first"), false}, {"name", v.T("by name"), false}, {"newest", v.T("newest first"), false}} {
			o.Chosen = o.Value == string(f.Order) || o.Value == "newest" && f.Order == catalog.ByNewest
			d.Orders = append(d.Orders, o)
		}
		for _, o := range []choice{{"", v.T("any state"), false}, {"active", v.T("active"), false}, {"paused", v.T("paused"), false}, {"completed", v.T("completed"), false}, {"invalid", v.T("invalid"), false}} {
			o.Chosen = o.Value == f.State
			d.States = append(d.States, o)
		}
		d.Lasts = []choice{{"", v.T("any end"), f.Last == ""}}
		for _, status := range lastStatuses {
			state := stateOf(v.Lang, status)
			d.Lasts = append(d.Lasts, choice{string(status), state.Mark + " " + state.Word, string(status) == f.Last})
		}
		if d.Known, err = v.calendarNames(); err != nil {
			return "", nil, err
		}
		v.w.Header().Set("HX-Replace-Url", f.address())
		return "schedules", d, nil
	})
	s.bulk()
}

// lastStatuses are the states of the newest run that the filter offers.
var lastStatuses = []domain.RunStatus{
	domain.Failed, domain.Succeeded, domain.Started, domain.Retrying, domain.Sent, domain.Due, domain.Revoked, domain.Expired, domain.Unknown,
}

// calendarNames returns the names of calendars, for suggestions.
func (v *view) calendarNames() (names []string, err error) {
	found, _, err := v.Store.PageOfCalendars(v.ctx(), calendarsShown, 0)
	for _, c := range found {
		names = append(names, c.Name)
	}
	return names, err
}

// fillBoard reads the part of the list that a filter selects.
func (v *view) fillBoard(d *schedulesData, f listFilter) error {
	var board catalog.Board
	var err error
	if chosen := f.catalog(); chosen.Looks() {
		board, err = v.looksAtBoard(d, f, chosen)
	} else if board, err = v.Catalog.Board(v.ctx(), chosen, f.Order, v.Now); err == nil {
		d.Total = count(board.Total)
		if board.Total >= chosen.Most(v.ctx()) {
			d.Total += "+"
		}
		d.All = d.Total
		v.paging(d, f, board.Total)
	}
	if err != nil {
		return err
	}
	if f.Order == catalog.ByNext && board.Order != catalog.ByNext {
		d.Note = v.T("More than %s schedules are in the order of their names: narrow them down to see what is due next.", count(catalog.MaxSorted))
	}
	d.Lines = v.lines(board.Lines)
	return nil
}

// mostEmptyParts is how many parts one page reads in search of a match.
const mostEmptyParts = 3

// looksAtBoard reads a part of a list whose schedules are examined one by one. The number of matches is unknown.
func (v *view) looksAtBoard(d *schedulesData, f listFilter, chosen catalog.Filter) (board catalog.Board, err error) {
	part := catalog.Page{Size: perPage, Token: f.Token}
	for range mostEmptyParts {
		var next string
		if board, next, err = v.Catalog.BoardPart(v.ctx(), chosen, f.Order, part, v.Now); err != nil {
			return board, err
		}
		if part.Token = next; len(board.Lines) > 0 || next == "" {
			break
		}
	}
	d.Total = count(int64(len(board.Lines)))
	if part.Token != "" {
		after := f
		after.Token, d.Total = part.Token, d.Total+"+"
		d.Next = after.address()
	}
	if f.Token != "" {
		f.Token = ""
		d.First = f.address()
	}
	return board, nil
}

func (v *view) paging(d *schedulesData, f listFilter, total int64) {
	if f.Page > 1 {
		before := f
		before.Page--
		d.Prev = before.address()
	}
	if int64(f.Page)*perPage < total {
		after := f
		after.Page++
		d.Next = after.address()
	}
}

// chips returns the filters that are set, each with the address of the list without it.
func (v *view) chips(f listFilter) (chips []chip) {
	f.Page, f.Token = 1, ""
	add := func(text string, without listFilter) { chips = append(chips, chip{text, without.address()}) }
	for i, tag := range f.Tags {
		without := f
		without.Tags = slices.Delete(slices.Clone(f.Tags), i, i+1)
		add(v.T("tag: %s", tag), without)
	}
	if f.Task != "" {
		without := f
		without.Task = ""
		add(v.T("task: %s", f.Task), without)
	}
	if f.Owner != "" {
		without := f
		without.Owner = ""
		add(v.T("owner: %s", f.Owner), without)
	}
	if f.Category != "" {
		without := f
		without.Category = ""
		add(v.T("category: %s", f.Category), without)
	}
	return chips
}

// Server returns the address of this server as the browser knows it, a trusted proxy's included.
func (v *view) Server() string {
	scheme := "http"
	if access.OverTLS(v.r) {
		scheme = "https"
	}
	return scheme + "://" + v.r.Host
}

func (v *view) lines(all []catalog.Line) []scheduleLine {
	lines := make([]scheduleLine, len(all))
	for i, l := range all {
		lines[i] = scheduleLine{
			Line: l, Words: words(v.Lang, l.Trigger, l.Anchor), Due: v.maybeAt(l.Next, l.Trigger.Timezone), Spark: v.spark(l.Last),
			Result: v.result(l), Halted: v.halted(l.Halt, l.State(), l.Trigger.Timezone),
		}
		for _, tag := range l.Tags {
			lines[i].Tagged = append(lines[i].Tagged, chip{tag, listFilter{Tags: []string{tag}, Order: catalog.ByNext}.address()})
		}
	}
	return lines
}

// result returns how the newest run ended, or nil if there is none.
func (v *view) result(l catalog.Line) *result {
	if len(l.Last) == 0 {
		return nil
	}
	r := l.Last[0]
	out := &result{State: stateOf(v.Lang, r.Status), At: v.at(r.DueAt, l.Trigger.Timezone), Run: r.ID}
	if d, ok := r.Took(); ok {
		out.Took = took(v.Lang, d)
	}
	if r.Status == domain.Failed || r.Status == domain.Retrying {
		out.Detail = lastLine(r.Error)
	}
	return out
}

// words describes a trigger in one line.
func words(lang string, t domain.Trigger, anchor time.Time) string {
	switch {
	case t.Once:
		return translate(lang, "once, at %s", anchor.UTC().Format("2006-01-02 15:04:05 UTC"))
	case t.Every > 0:
		return cron.DescribeEvery(cron.Language(lang), time.Duration(t.Every)*time.Second)
	case t.Dialect == "rrule":
		return domain.Definition{RRule: t.Cron, Timezone: t.Timezone}.Describe(lang)
	case t.Cron == "":
		return "?"
	}
	return domain.Definition{CronExpression: t.Cron, CronDialect: t.Dialect, CronSeconds: t.Seconds, Timezone: t.Timezone}.Describe(lang)
}
