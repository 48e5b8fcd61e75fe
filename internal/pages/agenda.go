package pages

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/tactus-dev/tactus/internal/catalog"
)

// The agenda is how much is due when. To know it takes a look at every schedule, so it is kept. Schedules of equal
// triggers are computed once.
type agenda struct{ *kept[span, *density] }

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
}

const (
	agendaKept = 30 * time.Second
	mostSteps  = 2_000_000 // due times that are computed for one agenda
)

func newAgenda(c *catalog.Catalog, log *slog.Logger) agenda {
	return agenda{newKept(agendaKept, log, func(ctx context.Context, s span) (*density, error) {
		var tags []string
		if s.tag != "" {
			tags = []string{s.tag}
		}
		plans, schedules, err := c.Plans(ctx, tags)
		if err != nil {
			return nil, err
		}
		return computed(s, plans, schedules), nil
	})}
}

// of returns the density of so many buckets from an instant on, of the schedules that have a tag, if one is given; nil
// while it is being made.
func (a agenda) of(ctx context.Context, from int64, bucket time.Duration, n int, tag string) *density {
	d, _ := a.kept.of(ctx, span{from, bucket, n, scopeKey(ctx), strings.Clone(tag)}) // not with the whole address
	return d
}

// computed counts, for each bucket, the schedules that are due in it. It is pure.
func computed(s span, plans []catalog.Plan, schedules int64) *density {
	d := &density{span: s, Counts: make([]int64, s.n), Schedules: schedules}
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
