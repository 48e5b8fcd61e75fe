package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// lookEvery is how often the relay asks for the sink's mark while there is nothing to append, since the sink may have
// lost entries.
const lookEvery = time.Second

// errMoved means that the sink's mark is not the one to which this relay has moved it: another relay was faster, or the
// sink has lost entries.
var errMoved = errors.New("the sink is not where this relay has brought it: another relay is at work, or it has lost something")

// publish appends chunks in order as they are read, and passes them on to be confirmed.
func (l *lane) publish(ctx context.Context, s agreement, chunks <-chan chunk, published chan<- publishedChunk) error {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	var minute sum
	defer func() { l.report(&minute, true) }()
	at := s.mark
	for {
		var err error
		select {
		case <-ctx.Done():
			return ctx.Err()
		case c := <-chunks:
			at, err = l.deliver(ctx, at, c, published)
		case <-look.C:
			l.report(&minute, false)
			if len(chunks) == 0 {
				err = l.lookAgain(ctx, s, at)
			}
			if err == nil {
				err = l.endLater(ctx)
			}
		}
		if err != nil {
			return err
		}
	}
}

// lookAgain returns errMoved if the agreement no longer holds.
func (l *lane) lookAgain(ctx context.Context, before agreement, at Mark) error {
	s, v, err := l.look(ctx)
	if err == nil && (v.do != resume || s.mark != at || s.state.Epoch != before.state.Epoch) {
		return errMoved
	}
	if err == nil {
		l.tally.agrees()
		l.tally.lags(time.Time{})
	}
	return err
}

// sum counts what was published since a point in time. It is zero while nothing was.
type sum struct {
	events int64
	took   time.Duration
	since  time.Time
}

// report logs what was published: at the level debug since the last call, and at the level info the sum of a minute, or
// of less if it is the last report.
func (l *lane) report(minute *sum, last bool) {
	if was, served := l.tally.over(); served {
		l.log.Info("sink is served again", "sink", l.Name, "failed", was.failed, "after",
			time.Since(was.since).Round(time.Millisecond))
	}
	if events, took := l.tally.news(); events > 0 {
		l.tell(slog.LevelDebug, events, took)
		if minute.since.IsZero() {
			minute.since = time.Now()
		}
		minute.events, minute.took = minute.events+events, minute.took+took
	}
	if minute.events > 0 && (last || time.Since(minute.since) >= time.Minute) {
		l.tell(slog.LevelInfo, minute.events, minute.took)
		*minute = sum{}
	}
}

func (l *lane) tell(level slog.Level, events int64, took time.Duration) {
	l.log.Log(context.Background(), level, "published", "sink", l.Name, "to", l.To, "events", events, "took",
		took.Round(10*time.Microsecond), "last", l.tally.get().Mark.Last.String())
}

// deliver appends a chunk, without the entries that the sink has already, and passes it on to be confirmed.
func (l *lane) deliver(ctx context.Context, at Mark, c chunk, published chan<- publishedChunk) (Mark, error) {
	began, before := time.Now(), at.Last
	at, own, err := l.appendAll(ctx, at, c)
	if err != nil {
		return at, err
	}
	if had := len(behind(c.entries, before)) == 0; !had { // it is read to be confirmed
		if err := l.outran(!own); err != nil {
			return at, err
		}
	}
	l.trace(c, before, began)
	select {
	case published <- publishedChunk{c, at, began, time.Now()}:
		return at, l.served(ctx)
	case <-ctx.Done():
		return at, ctx.Err()
	}
}

// appendAll returns the mark behind the chunk, and whether any of its entries were appended here.
func (l *lane) appendAll(ctx context.Context, at Mark, c chunk) (now Mark, own bool, err error) {
	for {
		entries := behind(c.entries, at.Last)
		if len(entries) == 0 {
			return at, own, nil
		}
		now, err := l.append(ctx, at, entries)
		if err == nil {
			return now, true, nil
		}
		if refused, ok := errors.AsType[*Refused](err); ok {
			at, own, err = refused.Real, true, l.drop(ctx, c, refused)
		} else if mismatch, ok := errors.AsType[*Mismatch](err); ok {
			at, err = mismatch.Real, advanced(at, mismatch.Real, c)
		}
		if err != nil {
			return at, own, err
		}
	}
}

func (l *lane) append(ctx context.Context, at Mark, entries []Entry) (Mark, error) {
	ctx, cancel := context.WithTimeout(ctx, l.patience)
	defer cancel()
	return l.Sink.Append(ctx, at, entries)
}

// behind returns the entries with greater IDs than last.
func behind(entries []Entry, last ID) []Entry {
	n, _ := slices.BinarySearchFunc(entries, last, func(e Entry, id ID) int {
		if e.ID.Compare(id) <= 0 {
			return -1
		}
		return 1
	})
	return entries[n:]
}

// advanced returns nil if another relay has appended a part of the chunk, so that the sink's mark is within it;
// otherwise errMoved.
func advanced(at, real Mark, c chunk) error {
	end := c.entries[len(c.entries)-1].ID
	if real.Epoch != at.Epoch || real.Last.Compare(at.Last) <= 0 || real.Last.Compare(end) > 0 {
		return errMoved
	}
	return nil
}

// drop sets aside an entry that the sink will never take, and the others of the chunk that it would refuse as well.
// Their places stay empty.
func (l *lane) drop(ctx context.Context, c chunk, r *Refused) error {
	reasons := map[ID]string{r.ID: r.Reason}
	for _, e := range r.Also {
		reasons[e.ID] = e.Reason
	}
	var all []aside
	for i, e := range c.entries {
		if reason, is := reasons[e.ID]; is && e.Message != nil {
			all = append(all, aside{c.rows[i], c.dues[i], reason})
			c.entries[i].Message = nil
		}
	}
	if len(all) != len(reasons) {
		return fmt.Errorf("the sink refuses %s, or another, which it was not given: %s", r.ID, r.Reason)
	}
	return l.setAside(ctx, all)
}
