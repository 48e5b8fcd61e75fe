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

// restore is one restoration of the database to an earlier state, and what it has lost: the entries of the stream that
// belong to no batch in the ledger and whose events are not in the log either.
type restore struct {
	ledger.Restore
	entries   map[change]time.Time // what the stream has and the log has lost; when it was written
	due       gap                  // due times without a run or a reason
	schedules int64                // whose due times these are
}

// Restore is a restoration with a description of its losses, which is empty when nothing is known to be lost.
type Restore struct {
	ledger.Restore
	Lost string `json:"lost,omitempty"`
}

// change identifies an event by what both the stream and the log hold of it.
type change struct {
	schedule domain.ID
	version  int64
	content  uint64
}

// pending is the reason of a restoration that no relay has noticed yet.
const pending = "the stream is ahead of the log, and no relay has begun an epoch yet"

// readRestores reads the recorded restorations. It must run before the stream is read: entries that are beyond the
// ledger's last batch now and in the stream later may only be what a relay publishes meanwhile (see noticeAhead).
func (c *checker) readRestores(ctx context.Context) error {
	all, err := ledger.Restores(ctx, c.pool)
	if err != nil {
		return err
	}
	for _, r := range all {
		c.restores = append(c.restores, &restore{Restore: r, entries: map[change]time.Time{}})
	}
	life, err := ledger.ReadState(ctx, c.pool, c.config.Sink)
	if err == nil && life.Registered {
		c.ahead = &restore{
			Restore: ledger.Restore{Sink: c.config.Sink, Number: math.MaxInt64, Reason: pending, At: life.Now, Log: life.End(), KnownUntil: &life.Newest.CommittedAt},
			entries: map[change]time.Time{},
		}
	}
	return err
}

// noticeAhead adds a restoration if the stream is ahead of the log, now that the log is read after the stream.
func (c *checker) noticeAhead() {
	if a := c.ahead; a != nil && c.life.Registered && c.ends.last.Compare(relay.ID(c.life.End())) > 0 {
		a.Log, a.After = c.life.End(), ledger.ID(c.ends.last)
		c.restores = append(c.restores, a)
		return
	}
	c.ahead = nil
}

// keep records an entry of the stream that belongs to no batch in the ledger.
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

// found removes an event of the log from the losses.
func (c *checker) found(e loggedEvent) {
	for _, r := range c.restores {
		if len(r.entries) > 0 {
			delete(r.entries, change{e.ID, e.Version, hash(e.Version, e.Type, e.Data)})
		}
	}
}

// covers reports whether a run for a due time may have been committed in the time that the database has lost.
func (r *restore) covers(due time.Time) bool {
	return r.KnownUntil != nil && !due.Before(*r.KnownUntil) && due.Before(r.At)
}

// lose counts a lost due time. Due times come schedule by schedule, so they are not in order.
func (r *restore) lose(due time.Time) {
	if r.due.n == 0 || due.Before(r.due.from) {
		r.due.from = due
	}
	r.due.to = later(r.due.to, due)
	r.due.n++
}

// lostWith returns the restoration in which the run of a due time may have been lost; nil if there is none.
func (c *checker) lostWith(due time.Time) *restore {
	for _, r := range c.restores {
		if r.covers(due) {
			return r
		}
	}
	return nil
}

// compareRestores reports each restoration with its losses.
func (c *checker) compareRestores() {
	for _, r := range c.restores {
		what := ""
		if n := len(r.entries); n > 0 {
			first, last := r.ends()
			what += fmt.Sprintf("; %d changes from %s to %s are in the stream, but no longer in the log", n,
				stamp(&first), stamp(&last))
		}
		if r.After.Batch > r.Log.Batch && r.Sink != c.config.Sink {
			what += fmt.Sprintf("; the sink was given batches %d to %d, which are no longer in the ledger: their tasks may be in a queue without a run", r.Log.Batch+1, r.After.Batch)
		}
		if r.due.n > 0 {
			what += fmt.Sprintf("; %d due times of %d schedules from %s to %s have neither a run nor a reason", r.due.n,
				r.schedules, stamp(&r.due.from), stamp(&r.due.to))
		}
		c.report.Restores = append(c.report.Restores, Restore{r.Restore, strings.TrimPrefix(what, "; ")})
		if what != "" && !c.config.KnownRestores {
			c.problem(Problem{Kind: LogWentBack}, "PostgreSQL went back (%s; sink %s, epoch %q, timeline %s of server %s): its data end at %s, and it continued by %s%s",
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

// ends returns when the first and the last lost change were written.
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
