package verify

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/relay"
	"github.com/tactus-dev/tactus/relay/ledger"
)

// restore is what was lost when the database went back: entries of the stream whose batches the log knows nothing of, as far as
// it has not their events all the same.
type restore struct {
	ledger.Restore
	entries   map[change]time.Time
	due       gap
	schedules int64 // whose due times are in the gap
}

// Restore is one, with what is known to be lost; nothing when that is empty.
type Restore struct {
	ledger.Restore
	Lost string `json:"lost,omitempty"`
}

// change is an event, by what the stream and the log both say of it.
type change struct {
	schedule domain.ID
	version  int64
	content  uint64
}

// pending is the reason of a restore that no relay has noticed.
const pending = "the stream is ahead of the log, and no relay has begun an epoch yet"

// readRestores is asked before the stream is read. What is ahead of the log then may be what a relay publishes just now.
func (c *checker) readRestores(ctx context.Context) error {
	all, err := ledger.Restores(ctx, c.pool)
	if err != nil {
		return err
	}
	for _, r := range all {
		c.restores = append(c.restores, &restore{Restore: r, entries: map[change]time.Time{}})
	}
	life, err := ledger.ReadLife(ctx, c.pool, c.config.Sink)
	if err == nil && life.Registered {
		c.ahead = &restore{
			Restore: ledger.Restore{Sink: c.config.Sink, Number: math.MaxInt64, Reason: pending, At: life.Now, Log: life.End(), KnownUntil: &life.Newest.CommittedAt},
			entries: map[change]time.Time{},
		}
	}
	return err
}

// noticeAhead takes it for a restore that the stream is ahead of the log, once the log was read after the stream.
func (c *checker) noticeAhead() {
	if a := c.ahead; a != nil && c.life.Registered && c.ends.last.Compare(relay.ID(c.life.End())) > 0 {
		a.Log, a.After = c.life.End(), ledger.Place(c.ends.last)
		c.restores = append(c.restores, a)
		return
	}
	c.ahead = nil
}

// keep notes an entry that no batch of the log accounts for.
func (c *checker) keep(id relay.ID, e change, at time.Time) {
	for _, r := range c.restores {
		if r.Sink == c.config.Sink && id.Batch < r.Number && id.Compare(relay.ID(r.Log)) > 0 {
			r.entries[e] = at
			return
		}
	}
	if c.ahead != nil && id.Compare(relay.ID(c.ahead.Log)) > 0 {
		c.ahead.entries[e] = at
	}
}

// found takes an event of the log off what was lost.
func (c *checker) found(e loggedEvent) {
	for _, r := range c.restores {
		if len(r.entries) > 0 {
			delete(r.entries, change{e.ID, e.Version, hash(e.Version, e.Type, e.Data)})
		}
	}
}

// covers reports whether a due time was one of those that a beat may have settled in what the database has lost.
func (r *restore) covers(due time.Time) bool {
	return r.KnownUntil != nil && !due.Before(*r.KnownUntil) && due.Before(r.At)
}

// lose counts a due time in. They come schedule by schedule.
func (r *restore) lose(due time.Time) {
	if r.due.n == 0 || due.Before(r.due.from) {
		r.due.from = due
	}
	r.due.to = later(r.due.to, due)
	r.due.n++
}

// lostWith finds the restore by which the run of a due time was lost.
func (c *checker) lostWith(due time.Time) *restore {
	for _, r := range c.restores {
		if r.covers(due) {
			return r
		}
	}
	return nil
}

// compareRestores tells each gap once.
func (c *checker) compareRestores() {
	for _, r := range c.restores {
		what := ""
		if n := len(r.entries); n > 0 {
			first, last := r.ends()
			what += fmt.Sprintf("; %d changes from %s to %s are in the stream and no more in it", n, stamp(&first), stamp(&last))
		}
		if r.After.Batch > r.Log.Batch && r.Sink != c.config.Sink {
			what += fmt.Sprintf("; of batches %d to %d, which the sink was given, it knows nothing: their tasks may be in a queue without a run", r.Log.Batch+1, r.After.Batch)
		}
		if r.due.n > 0 {
			what += fmt.Sprintf("; %d due times of %d schedules from %s to %s have neither a run nor a reason", r.due.n, r.schedules, stamp(&r.due.from), stamp(&r.due.to))
		}
		c.report.Restores = append(c.report.Restores, Restore{r.Restore, strings.TrimPrefix(what, "; ")})
		if what != "" && !c.config.KnownRestores {
			c.problem(Problem{Kind: LogWentBack}, "PostgreSQL went back (%s; sink %s, epoch %q, timeline %s of server %s): what it knew ends at %s, and it went on by %s%s",
				r.Reason, r.Sink, r.Epoch, r.Timeline, r.System, known(r.KnownUntil), stamp(&r.At), what)
		}
	}
}

func known(t *time.Time) string {
	if t == nil {
		return "its beginning"
	}
	return stamp(t)
}

// ends are when the first and the last of the changes were made.
func (r *restore) ends() (first, last time.Time) {
	for _, at := range r.entries {
		if first.IsZero() || at.Before(first) {
			first = at
		}
		if at.After(last) {
			last = at
		}
	}
	return first, last
}
