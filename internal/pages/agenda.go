package pages

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/tactus-dev/tactus/internal/catalog"
)

// The agenda is how much is due when. To know it takes a look at every schedule, so it is made apart from the pages
// that show it, and kept for a while. Schedules of equal triggers are computed once.
type agenda struct {
	catalog *catalog.Catalog
	log     *slog.Logger

	mu     sync.Mutex
	kept   map[span]*density
	making map[span]bool
}

// span is what an agenda is of: the buckets from an instant on.
type span struct {
	from   int64 // Unix seconds
	bucket time.Duration
	n      int
	scope  string // of whoever asks
	tag    string // of the schedules; empty for all
}

// density is how many schedules are due in each bucket: one that is due often hides no herd.
type density struct {
	span
	Counts    []int64
	Schedules int64 // all that are enabled
	Left      int64 // of these, that were too many to compute
	made      time.Time
}

const (
	agendaKept  = 30 * time.Second
	agendaGone  = 10 * time.Minute
	mostSteps   = 2_000_000 // due times that are computed for one agenda
	makeTimeout = time.Minute
	firstWait   = 2 * time.Second
)

func newAgenda(c *catalog.Catalog, log *slog.Logger) *agenda {
	return &agenda{catalog: c, log: log, kept: map[span]*density{}, making: map[span]bool{}}
}

// of returns the density of a span: at once when it is known, even if it is a little old; else after a short wait, or
// nil when it takes longer.
func (a *agenda) of(ctx context.Context, s span) *density {
	known, done := a.ask(ctx, s)
	if known != nil || done == nil {
		return known
	}
	select {
	case <-ctx.Done():
	case <-done:
	case <-time.After(firstWait):
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.kept[s]
}

// ask returns what is known, and begins to make what is not, or is old.
func (a *agenda) ask(ctx context.Context, s span) (known *density, done chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	known = a.kept[s]
	if a.making[s] || known != nil && time.Since(known.made) < agendaKept {
		return known, nil
	}
	for old, d := range a.kept {
		if time.Since(d.made) > agendaGone {
			delete(a.kept, old)
		}
	}
	a.making[s] = true
	done = make(chan struct{})
	go a.makeAnew(context.WithoutCancel(ctx), s, done)
	return known, done
}

func (a *agenda) makeAnew(asked context.Context, s span, done chan struct{}) {
	defer close(done)
	ctx, cancel := context.WithTimeout(asked, makeTimeout)
	defer cancel()
	var tags []string
	if s.tag != "" {
		tags = []string{s.tag}
	}
	plans, schedules, err := a.catalog.Plans(ctx, tags)
	var d *density
	if err == nil {
		d = computed(s, plans, schedules)
	} else {
		a.log.Warn("the agenda was not made", "err", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.making, s)
	if d != nil {
		a.kept[s] = d
	}
}

// computed counts, for each bucket, the schedules that are due in it. It is pure.
func computed(s span, plans []catalog.Plan, schedules int64) *density {
	d := &density{span: s, Counts: make([]int64, s.n), Schedules: schedules, made: time.Now()}
	from := time.Unix(s.from, 0).UTC()
	done, steps := int64(0), 0
	for _, p := range plans {
		if steps > mostSteps {
			break
		}
		done += p.Schedules
		due, ok := p.Next(from.Add(-1))
		for ; ok && steps <= mostSteps; steps++ {
			i := int(due.Sub(from) / s.bucket)
			if i >= s.n {
				break
			}
			d.Counts[i] += p.Schedules
			due, ok = p.Next(from.Add(time.Duration(i+1)*s.bucket - 1))
		}
	}
	d.Left = schedules - done
	return d
}
