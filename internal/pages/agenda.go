package pages

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/tactus-dev/tactus/internal/catalog"
)

// agenda tells how many schedules are due when. Computing it looks at every schedule, so the result is kept for a
// while.
//
// Schedules with equal triggers are computed once.
type agenda struct{ *kept[span, *density] }

// span is the key of a kept agenda: n buckets from an instant on, and whose schedules are counted.
type span struct {
	from   int64 // Unix seconds
	bucket time.Duration
	n      int
	scope  string // of the principal that asks
	tag    string // that the schedules have; empty for all schedules
}

// density has, for each bucket, how many schedules are due in it. A schedule counts once a bucket, however often it is
// due, so that one frequent schedule does not hide a herd of others.
type density struct {
	span
	Counts    []int64
	Schedules int64 // all enabled ones
	Left      int64 // those of them that were not computed, because of mostSteps
}

const (
	agendaKept = 30 * time.Second
	mostSteps  = 2_000_000 // due times computed for one agenda
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

// of returns the density of n buckets from an instant on, for the schedules that have a tag, or for all if the tag is
// empty. It returns nil while the density is still being computed.
func (a agenda) of(ctx context.Context, from int64, bucket time.Duration, n int, tag string) *density {
	d, _ := a.kept.of(ctx, span{from, bucket, n, scopeKey(ctx), strings.Clone(tag)}) // a clone, or the key would keep the whole address in memory
	return d
}

// computed counts, for each bucket, the schedules that are due in it. It has no side effects.
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
