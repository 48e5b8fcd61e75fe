package pages

import (
	"fmt"
	"strings"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/catalog"
)

// overviewData answers: is everything all right, and if not, what exactly is wrong? What comes next?
type overviewData struct {
	Counts  catalog.Counts
	Trouble []troubleLine
	Failed  int // schedules whose newest run failed
	Paused  []scheduleLine
	More    int64 // paused schedules beyond those that are shown
	Past    dayChart
	Hour    chart
	Day     chart
	Next    []scheduleLine
}

type troubleLine struct {
	catalog.Trouble
	State state
	At    Moment
	Worst string // the longest delay
}

func (s *site) overview() {
	s.get("/{$}", func(v *view) (string, any, error) {
		var d overviewData
		var err error
		if d.Counts, err = v.Catalog.Counts(v.ctx()); err != nil {
			return "", nil, err
		}
		trouble, err := v.Catalog.Trouble(v.ctx(), v.Now.Add(-24*time.Hour))
		if err != nil {
			return "", nil, err
		}
		for _, t := range trouble {
			if t.Kind == catalog.TroubleKind(domain.Failed) {
				d.Failed++
			}
			d.Trouble = append(d.Trouble, v.troubleLine(t))
		}
		paused, err := v.Catalog.Board(v.ctx(), catalog.Filter{State: domain.Paused, Limit: 10}, catalog.ByNewest, v.Now)
		if err != nil {
			return "", nil, err
		}
		d.Paused, d.More = v.lines(paused.Lines), paused.Total-int64(len(paused.Lines))
		if d.Counts.Active <= catalog.MaxSorted {
			next, err := v.Catalog.Board(v.ctx(), catalog.Filter{State: domain.Active, Limit: 8}, catalog.ByNext, v.Now)
			if err != nil {
				return "", nil, err
			}
			d.Next = v.lines(next.Lines)
		}
		d.Past = v.lastDay()
		d.Hour = v.chart(time.Minute, 60, "15:04")
		d.Day = v.chart(15*time.Minute, 96, "15:04")
		return "overview", d, nil
	})
}

func (v *view) troubleLine(t catalog.Trouble) troubleLine {
	line := troubleLine{Trouble: t, At: v.at(t.Last, "")}
	if line.State = stateOf(v.Lang, domain.RunStatus(t.Kind)); t.Kind == catalog.TroubleLate {
		line.State, line.Worst = state{"◷", v.T("late"), "attention"}, took(v.Lang, t.Late)
	}
	line.Detail = lastLine(t.Detail)
	return line
}

// lastLine returns the last line of an error: the message, if the error is a Python traceback.
func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

// chart shows how many schedules are due when, as SVG bars.
type chart struct {
	Known  bool
	Bars   string // SVG path of the bars
	Herds  string // SVG path of the bars that stand out
	Width  int
	Height int
	Ticks  []tick
	Most   int64  // schedules in one bucket
	MostAt Moment // when the fullest bucket begins
	Total  int64
	Left   int64
	Said   string
}

type tick struct {
	X    int
	Text string
}

const (
	barStep     = 8
	chartHeight = 48
)

func (v *view) chart(bucket time.Duration, n int, format string) chart {
	from := v.Now.Truncate(bucket).Unix()
	d := v.agenda.of(v.ctx(), from, bucket, n, "")
	c := chart{Width: n * barStep, Height: chartHeight}
	if d == nil {
		return c
	}
	c.Known, c.Left = true, d.Left
	place := 0
	for i, n := range d.Counts {
		c.Total += n
		if n > c.Most {
			c.Most, place = n, i
		}
	}
	c.MostAt = v.at(time.Unix(from, 0).Add(time.Duration(place)*bucket), "")
	c.draw(d.Counts)
	zone := v.Zone
	if zone == nil {
		zone = time.UTC
	}
	for i := 0; i < n; i += n / 6 {
		c.Ticks = append(c.Ticks, tick{i * barStep, time.Unix(from, 0).Add(time.Duration(i) * bucket).In(zone).Format(format)})
	}
	c.Said = v.T("at most %s schedules in %s, at %s", count(c.Most), took(v.Lang, bucket), c.MostAt.Clock)
	if c.Total == 0 {
		c.Said = v.T("nothing is due")
	}
	return c
}

// draw draws a density. Buckets with at least three times the mean stand out.
func (c *chart) draw(counts []int64) {
	var bars, herds strings.Builder
	for i, n := range counts {
		if n == 0 {
			continue
		}
		to := &bars
		if n*int64(len(counts)) >= 3*c.Total && n >= 10 {
			to = &herds
		}
		fmt.Fprintf(to, "M%d %dv-%d", i*barStep+3, chartHeight, max(2, n*chartHeight/c.Most))
	}
	c.Bars, c.Herds = bars.String(), herds.String()
}
