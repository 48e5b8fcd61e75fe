package pages

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/calendar"
	"github.com/tactus-dev/tactus/internal/catalog"
)

// calendarData answers: what ran and what runs when, when are many schedules due at once, and when is it quiet?
type calendarData struct {
	Tag    string
	Span   string
	Spans  []choice
	Before string // addresses of the spans before and after this one
	Behind string
	Hours  []string
	Days   []dayLine
	Known  bool
	Left   int64 // schedules that could not be counted
	Unseen int64 // calendars beyond calendarsShown, whose days are not marked
	Said   string
	Went   string // what became of the runs of the hours that have passed; empty if none has
	Zone   string
	Due    []dueRow   // filled for a span of one day
	Ran    []runsLine // the same
	Cut    bool
	RanCut bool
}

// dayLine is a day of the calendar, divided by the hours of the viewer's clock.
type dayLine struct {
	Name, Address string
	Today         bool
	Hours         []hourCell
	Closed        []string // entries of calendars on that day
}

// hourCell tells how many schedules are due in an hour, or how many runs were due in one that has passed.
type hourCell struct {
	Count, Level int64 // Level is 0 to 4, or 5 when far more are due than on average
	Said         string
	Past         bool
	Failed       int64
}

type dueRow struct {
	catalog.UpcomingDue
	At    Moment
	Fires string // if jitter or spread delay it
}

// calendarSpans maps a span to its number of days.
var calendarSpans = map[string]int{"day": 1, "week": 7, "month": 31}

const (
	calendarsShown = 100 // on the page
	daysShown      = 200 // days and ranges of one calendar
	dueShown       = 200
	ranShown       = 100
	mostDaysBack   = 366
)

// calendarFilter is what the address of the page selects.
type calendarFilter struct {
	Span, Tag string
	From      time.Time // midnight of the first day
}

func (f calendarFilter) address() string {
	q := url.Values{"span": {f.Span}, "from": {f.From.Format(time.DateOnly)}}
	if f.Tag != "" {
		q.Set("tag", f.Tag)
	}
	return "/calendar?" + q.Encode()
}

// day returns the midnight n days after the first one.
func (f calendarFilter) day(n int) time.Time {
	return time.Date(f.From.Year(), f.From.Month(), f.From.Day()+n, 0, 0, 0, 0, f.From.Location())
}

func (v *view) calendarFilter() calendarFilter {
	q, zone := v.r.URL.Query(), v.Zone
	if zone == nil {
		zone = time.UTC
	}
	f := calendarFilter{Span: q.Get("span"), Tag: strings.TrimSpace(q.Get("tag")), From: v.Now.In(zone)}
	if calendarSpans[f.Span] == 0 {
		f.Span = "week"
	}
	today := f.day(0)
	f.From = today
	if day, err := time.ParseInLocation(time.DateOnly, q.Get("from"), zone); err == nil && day.After(f.day(-mostDaysBack-1)) && day.Before(f.day(366)) {
		f.From = day
	}
	return f
}

func (s *site) calendar() {
	s.get("/calendar", func(v *view) (string, any, error) {
		f := v.calendarFilter()
		if err := catalog.CheckTags(f.Tag); err != nil {
			return "", nil, err
		}
		days := calendarSpans[f.Span]
		d := calendarData{Tag: f.Tag, Span: f.Span, Zone: f.From.Location().String()}
		for _, span := range []choice{{"day", v.T("one day"), false}, {"week", v.T("one week"), false}, {"month", v.T("one month"), false}} {
			other := f
			other.Span = span.Value
			d.Spans = append(d.Spans, choice{other.address(), span.Text, span.Value == f.Span})
		}
		if oldest := (calendarFilter{From: v.Now.In(f.From.Location())}).day(-mostDaysBack); f.From.After(oldest) {
			before := f
			before.From = f.day(-days)
			d.Before = before.address()
		}
		behind := f
		behind.From = f.day(days)
		d.Behind = behind.address()
		for h := range 24 {
			d.Hours = append(d.Hours, fmt.Sprintf("%02d", h))
		}
		v.fillDays(&d, f, days)
		v.fillPast(&d, f, days)
		if err := v.markClosed(&d, f, days); err != nil {
			return "", nil, err
		}
		if days > 1 {
			return "calendar", d, nil
		}
		if err := v.fillRan(&d, f); err != nil {
			return "", nil, err
		}
		return "calendar", d, v.fillDue(&d, f)
	})
	s.get("/calendars", s.calendars)
}

// fillDays counts the schedules that are due in each hour. On a day on which the clocks change, the skipped hour stays
// empty, and the two hours of the same name are added up.
func (v *view) fillDays(d *calendarData, f calendarFilter, days int) {
	for n := range days {
		day := f.day(n)
		one := f
		one.Span, one.From = "day", day
		d.Days = append(d.Days, dayLine{
			Name: day.Format("01-02 ") + weekdays[v.Lang][day.Weekday()], Address: one.address(), Hours: make([]hourCell, 24), Today: !v.Now.Before(day),
		})
	}
	if !v.Now.Before(f.day(days)) {
		d.Known = true
		return
	}
	hours := int(f.day(days).Sub(f.From) / time.Hour)
	density := v.agenda.of(v.ctx(), f.From.Unix(), time.Hour, hours, f.Tag)
	if density == nil {
		return
	}
	d.Known, d.Left = true, density.Left
	n, most, total, at := 0, int64(0), int64(0), f.From
	for i, due := range density.Counts {
		begin := f.From.Add(time.Duration(i) * time.Hour)
		if begin.Add(time.Hour).Before(v.Now) {
			continue // this hour has passed
		}
		for n+1 < days && !begin.Before(f.day(n+1)) {
			n++
		}
		cell := &d.Days[n].Hours[begin.Hour()]
		cell.Count += due
		if total += due; cell.Count > most {
			most, at = cell.Count, begin
		}
	}
	for n := range d.Days {
		for h := range d.Days[n].Hours {
			cell := &d.Days[n].Hours[h]
			cell.Said = fmt.Sprintf("%s %02d:00: %s", d.Days[n].Name, h, count(cell.Count))
			if cell.Count > 0 {
				cell.Level = 1 + 3*cell.Count/most
			}
			if cell.Count >= 10 && cell.Count*int64(len(density.Counts)) >= 3*total {
				cell.Level = 5
			}
		}
	}
	d.Said = v.T("nothing is due")
	if total > 0 {
		d.Said = v.T("at most %s schedules in an hour, at %s", count(most), v.at(at, "").Clock)
	}
}

// pastHours is the key of what became of the runs of some hours.
type pastHours struct {
	from, to   int64 // Unix seconds
	scope, tag string
}

// newPasts returns the cache of what became of the runs that calendars show.
func newPasts(c *catalog.Catalog, log *slog.Logger) *kept[pastHours, catalog.RunSummary] {
	return newKept(dayKept, log, func(ctx context.Context, p pastHours) (catalog.RunSummary, error) {
		from, to := time.Unix(p.from, 0), time.Unix(p.to, 0)
		filter := catalog.RunFilter{DueFrom: &from, DueTo: &to}
		if p.tag != "" {
			filter.Tags = []string{p.tag}
		}
		return c.RunSummary(ctx, filter)
	})
}

// fillPast counts the runs of each hour that has passed.
func (v *view) fillPast(d *calendarData, f calendarFilter, days int) {
	to := f.day(days)
	if now := v.Now.Truncate(time.Hour); now.Before(to) {
		to = now
	}
	from := f.From
	if oldest := to.Add(-(catalog.MostHours - 1) * time.Hour); from.Before(oldest) {
		from = oldest // of a month in which the clocks are set back, the first hours are left out
	}
	if !from.Before(to) {
		return
	}
	summary, known := v.pasts.of(v.ctx(), pastHours{from.Unix(), to.Unix(), scopeKey(v.ctx()), strings.Clone(f.Tag)})
	if d.Known = d.Known && known; !known {
		return
	}
	var most, ran, failed int64
	for _, h := range summary.Hours {
		n, bad := runsOfHour(h)
		most, ran, failed = max(most, n), ran+n, failed+bad
	}
	n := 0
	for _, h := range summary.Hours {
		begin := h.Hour.In(f.From.Location())
		for n+1 < days && !begin.Before(f.day(n+1)) {
			n++
		}
		runs, bad := runsOfHour(h)
		cell := &d.Days[n].Hours[begin.Hour()]
		cell.Past, cell.Count, cell.Failed = true, cell.Count+runs, cell.Failed+bad
		if cell.Count > 0 {
			cell.Level = 1 + 3*min(cell.Count, most)/most
		}
		cell.Said = v.T("%s %s: %s runs, %s failed", d.Days[n].Name, begin.Format("15:00"), count(cell.Count), count(cell.Failed))
	}
	d.Went = v.T("of hours that have passed, runs: %s, of which %s failed", count(ran), count(failed))
	if summary.Cut {
		d.Went += " · " + v.T("of busy hours, the newest alone")
	}
}

func runsOfHour(h catalog.RunHour) (recorded, failed int64) {
	recorded, _, failed = figuresOf(h.RunFigures)
	return recorded, failed
}

// fillRan lists the newest runs that were due on a day.
func (v *view) fillRan(d *calendarData, f calendarFilter) error {
	from, to := f.From, f.day(1)
	if v.Now.Before(to) {
		to = v.Now
	}
	if !from.Before(to) {
		return nil
	}
	filter := catalog.RunFilter{DueFrom: &from, DueTo: &to}
	if f.Tag != "" {
		filter.Tags = []string{f.Tag}
	}
	page, err := v.Catalog.Runs(v.ctx(), filter, catalog.Page{Size: ranShown})
	if err != nil {
		return err
	}
	d.RanCut = page.NextPageToken != ""
	d.Ran, err = v.runsLines(page.Runs)
	return err
}

// markClosed adds the entries of calendars to each day.
func (v *view) markClosed(d *calendarData, f calendarFilter, days int) error {
	found, total, err := v.Store.PageOfCalendars(v.ctx(), calendarsShown, 0)
	if err != nil {
		return err
	}
	d.Unseen = total - int64(len(found))
	for _, c := range found {
		set, err := v.Store.SetOf(c)
		if err != nil {
			continue // a beat reports a calendar that it cannot read
		}
		for _, change := range set.After(f.From, f.From.Location(), daysShown) {
			for n := range days {
				if said := c.Name + " " + change.Reason; change.From.Before(f.day(n+1)) && change.To.After(f.day(n)) && !slices.Contains(d.Days[n].Closed, said) {
					d.Days[n].Closed = append(d.Days[n].Closed, said)
				}
			}
		}
	}
	return nil
}

// fillDue lists the due times that are still to come on a day.
func (v *view) fillDue(d *calendarData, f calendarFilter) error {
	var tags []string
	if f.Tag != "" {
		tags = []string{f.Tag}
	}
	from := f.From
	if v.Now.After(from) {
		from = v.Now
	}
	upcoming, err := v.Catalog.Upcoming(v.ctx(), tags, from, f.day(1), dueShown)
	if err != nil {
		return err
	}
	d.Cut = upcoming.Cut || upcoming.Unread
	for _, due := range upcoming.Upcoming {
		row := dueRow{due, v.at(due.DueAt, ""), ""}
		if !due.FiresAt.IsZero() {
			row.Fires = v.T("fires at %s", v.at(due.FiresAt, "").Clock)
		}
		d.Due = append(d.Due, row)
	}
	return nil
}

// calendarsData lists the calendars with their days.
type calendarsData struct {
	All  []calendarLine
	More int64
}

type calendarLine struct {
	domain.Calendar
	Next  []nextClosed
	Items []calendar.Item
	More  int // items beyond daysShown

	Invalid string // why it cannot be read
}

type nextClosed struct {
	From, To string
	Reason   string
}

func (s *site) calendars(v *view) (string, any, error) {
	found, total, err := v.Store.PageOfCalendars(v.ctx(), calendarsShown, 0)
	if err != nil {
		return "", nil, err
	}
	d := calendarsData{More: total - int64(len(found))}
	for _, c := range found {
		line := calendarLine{Calendar: c, Items: c.Days[:min(len(c.Days), daysShown)]}
		line.More = len(c.Days) - len(line.Items)
		if set, err := v.Store.SetOf(c); err == nil {
			line.Next = v.nextClosed(set)
		} else {
			line.Invalid = err.Error()
		}
		d.All = append(d.All, line)
	}
	return "calendars", d, nil
}

// nextClosed returns the current and the next entries of a calendar.
func (v *view) nextClosed(set *calendar.Set) (all []nextClosed) {
	zone := v.Zone
	if zone == nil {
		zone = time.UTC
	}
	for _, change := range set.After(v.Now, zone, 5) {
		all = append(all, nextClosed{change.From.Format("2006-01-02 15:04"), change.To.Format("2006-01-02 15:04"), change.Reason})
	}
	return all
}
