package pages

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/catalog"
)

const dayKept = time.Minute

// newLastDays returns the cache of what became of the runs of the last day, by scope. Summing them up reads many runs.
func newLastDays(c *catalog.Catalog, log *slog.Logger) *kept[string, catalog.RunSummary] {
	return newKept(dayKept, log, func(ctx context.Context, _ string) (catalog.RunSummary, error) {
		now := time.Now()
		from := now.Add(-23 * time.Hour)
		return c.RunSummary(ctx, catalog.RunFilter{DueFrom: &from, DueTo: &now})
	})
}

// dayChart is a chart of the last day with a bar for each hour: the runs, with those that failed in another colour, and
// how late they were.
type dayChart struct {
	Known                    bool
	Runs, Failed             string // SVG paths
	Late                     string
	Width, Height            int
	Ticks                    []string
	Recorded, Handed, Went   string // counts, formatted
	AnyFailed, Cut           bool
	Said, LateSaid, LateMost string
}

const dayStep = 24

func (v *view) lastDay() dayChart {
	s, known := v.days.of(v.ctx(), scopeKey(v.ctx()))
	d := dayChart{Known: known, Width: 24 * dayStep, Height: chartHeight, Cut: s.Cut}
	if !known {
		return d
	}
	var recorded, handed, failed, most int64
	var latest float64
	for _, h := range s.Hours {
		ran, _, bad := figuresOf(h.RunFigures)
		recorded, failed, most = recorded+ran, failed+bad, max(most, ran)
		if late := h.Lateness.P95; late != nil {
			latest = max(latest, *late)
		}
	}
	_, handed, _ = figuresOf(s.RunFigures)
	var runs, bad, late strings.Builder
	zone := v.Zone
	if zone == nil {
		zone = time.UTC
	}
	for i, h := range s.Hours {
		x := i*dayStep + dayStep/2
		ran, _, wrong := figuresOf(h.RunFigures)
		if ran > 0 {
			fmt.Fprintf(&runs, "M%d %dv-%d", x, chartHeight, max(2, ran*chartHeight/most))
		}
		if wrong > 0 {
			fmt.Fprintf(&bad, "M%d %dv-%d", x, chartHeight, max(3, wrong*chartHeight/most))
		}
		if p := h.Lateness.P95; p != nil && latest > 0 {
			fmt.Fprintf(&late, "M%d %dv-%d", x, chartHeight, max(2, int(*p/latest*chartHeight)))
		}
		if i%4 == 0 {
			d.Ticks = append(d.Ticks, h.Hour.In(zone).Format("15:04"))
		}
	}
	d.Runs, d.Failed, d.Late, d.AnyFailed = runs.String(), bad.String(), late.String(), failed > 0
	d.Recorded, d.Handed, d.Went = count(recorded), count(handed), count(failed)
	d.Said = v.T("%s recorded, %s handed over, %s failed; at most %s in an hour", d.Recorded, d.Handed, d.Went, count(most))
	d.LateSaid = v.T("nothing was handed over")
	if p := s.Lateness.P95; p != nil {
		d.LateSaid = v.T("95 of 100 were handed over within %s; in the worst hour, %s", took(v.Lang, seconds(*p)), took(v.Lang, seconds(latest)))
	}
	return d
}

// figuresOf counts the runs of some figures: all, those that were handed over, and those that failed.
func figuresOf(f catalog.RunFigures) (recorded, handed, failed int64) {
	for status, n := range f.Counts {
		switch status {
		case domain.Skipped, domain.Excluded, domain.MissedRun:
			continue
		case domain.Due:
		default:
			handed += n
		}
		recorded += n
	}
	return recorded, handed, f.Counts[domain.Failed]
}
