package pages

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/access"
	"github.com/tactus-dev/tactus/internal/catalog"
)

// lastDays are what became of the runs of the last day, by scope. To sum them up takes a look at many runs, so it is
// done apart from the pages that show it, and kept for a while.
type lastDays struct {
	catalog *catalog.Catalog
	log     *slog.Logger

	mu     sync.Mutex
	kept   map[string]keptDay
	making map[string]bool
}

type keptDay struct {
	catalog.RunSummary
	made time.Time
}

const (
	dayKept = time.Minute
	dayGone = 10 * time.Minute
)

func newLastDays(c *catalog.Catalog, log *slog.Logger) *lastDays {
	return &lastDays{catalog: c, log: log, kept: map[string]keptDay{}, making: map[string]bool{}}
}

// of returns the last day as far as whoever asks sees it; false while it is being summed up for the first time.
func (l *lastDays) of(ctx context.Context, now time.Time) (catalog.RunSummary, bool) {
	scope := strings.Join(access.From(ctx).Scope, " ")
	known, done := l.ask(ctx, scope, now)
	if done == nil {
		return known.RunSummary, !known.made.IsZero()
	}
	if known.made.IsZero() {
		select {
		case <-ctx.Done():
		case <-done:
		case <-time.After(firstWait):
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		known = l.kept[scope]
	}
	return known.RunSummary, !known.made.IsZero()
}

func (l *lastDays) ask(ctx context.Context, scope string, now time.Time) (known keptDay, done chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	known = l.kept[scope]
	if l.making[scope] || time.Since(known.made) < dayKept {
		return known, nil
	}
	for old, day := range l.kept {
		if time.Since(day.made) > dayGone {
			delete(l.kept, old)
		}
	}
	l.making[scope] = true
	done = make(chan struct{})
	go l.makeAnew(context.WithoutCancel(ctx), scope, now, done)
	return known, done
}

func (l *lastDays) makeAnew(asked context.Context, scope string, now time.Time, done chan struct{}) {
	defer close(done)
	ctx, cancel := context.WithTimeout(asked, makeTimeout)
	defer cancel()
	from := now.Add(-23 * time.Hour)
	summary, err := l.catalog.RunSummary(ctx, catalog.RunFilter{DueFrom: &from, DueTo: &now})
	if err != nil {
		l.log.Warn("the last day was not summed up", "err", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.making, scope)
	if err == nil {
		l.kept[scope] = keptDay{summary, time.Now()}
	}
}

// dayChart is the last day, a bar an hour: the runs, of which those that failed stand out, and how late they were.
type dayChart struct {
	Known                    bool
	Runs, Failed             string // paths
	Late                     string
	Width, Height            int
	Ticks                    []string
	Recorded, Handed, Went   string // numbers
	AnyFailed, Cut           bool
	Said, LateSaid, LateMost string
}

const dayStep = 24

func (v *view) lastDay() dayChart {
	s, known := v.days.of(v.ctx(), v.Now)
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

// figuresOf counts the runs of some figures, those of them that were handed over, and those that failed.
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
