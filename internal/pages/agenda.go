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

// computed counts, for each bucket, the schedules that fire in it. Schedules with a spread count where they fire, and
// about as many in each part of the spread; jitter is left out. It has no side effects.
func computed(s span, plans []catalog.Plan, schedules int64) *density {
	d := &density{span: s, Counts: make([]int64, s.n), Schedules: schedules}
	from := time.Unix(s.from, 0).UTC()
	done, steps := int64(0), 0
	for _, p := range plans {
		if steps > mostSteps {
			break
		}
		done += p.Schedules
		of := planCount{density: d, most: p.Schedules, last: -1}
		due, ok := p.Next(from.Add(-p.MostSpread() - 1))
		for ; ok && steps <= mostSteps && due.Sub(from) < time.Duration(s.n)*s.bucket; steps++ {
			at, window := due.Sub(from), p.SpreadFrom(due)
			of.spread(at, at+window)
			behind := due
			if i := bucketOf(at, s.bucket); i == bucketOf(at+window, s.bucket) { // the whole window lies in one bucket
				behind = from.Add(time.Duration(i+1)*s.bucket - 1)
			}
			due, ok = p.Next(behind)
		}
	}
	d.Left = schedules - done
	return d
}

// planCount counts the schedules of one plan, each at most once a bucket.
type planCount struct {
	*density
	most int64
	last int   // the last bucket in which some were counted
	got  int64 // how many
}

// spread counts the schedules as evenly spread between two times of the density.
func (c *planCount) spread(from, to time.Duration) {
	before := int64(0)
	for i := bucketOf(from, c.bucket); i <= bucketOf(to, c.bucket) && i < c.n; i++ {
		upTo := c.most
		if end := time.Duration(i+1) * c.bucket; end <= to {
			upTo = int64(float64(c.most)*float64(end-from)/float64(to-from) + 0.5)
		}
		c.add(i, upTo-before)
		before = upTo
	}
}

func (c *planCount) add(i int, n int64) {
	if i < 0 {
		return
	}
	if i != c.last {
		c.last, c.got = i, 0
	}
	n = min(n, c.most-c.got)
	c.Counts[i] += n
	c.got += n
}

func bucketOf(at, bucket time.Duration) int {
	if at < 0 {
		return int((at+1)/bucket) - 1
	}
	return int(at / bucket)
}
