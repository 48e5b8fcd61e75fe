package relay

import (
	"context"
	"errors"
	"time"

	"github.com/tactus-dev/tactus/relay/ledger"
)

// Relays share their sinks, so that several of them cost what one costs. Each sink is served by one relay, and followed
// by the others.
//
// There is no lease. A relay that serves a sink finds out by the sink's answers that another one has appended what it
// was about to append. The one that was slower several times in a row, without having appended anything in between,
// follows: it reads no rows and encodes nothing, but looks at the sink's mark. It serves the sink again when rows wait
// and the mark stands still from one look to the next, whatever the reason is: the other relay has died, was stopped,
// or cannot go on. The same goes, more slowly, for what the sink has and nobody has confirmed. So a relay that stops
// delays what it serves by two looks. With a lease, the delay would be the lease.
//
// Whether one relay serves or two do, and which, is a question of cost alone. Append compares the
// mark before it appends, and so keeps anything from being appended twice.

const (
	// mostOutrun is how many chunks in a row, or moves of the sink, another relay may be faster with before this one
	// follows. When a sink has lost something, the same is counted once or twice.
	mostOutrun = 3
	// followEvery is how often a relay looks at the mark of a sink that another one serves. It is as long as a relay
	// that serves the sink may sleep.
	followEvery = rest
)

var (
	// errOutrun means that another relay serves the sink and is faster.
	errOutrun = errors.New("another relay serves the sink")
	// errLeft means that another relay does not serve the sink any more.
	errLeft = errors.New("no other relay brings it forward")
)

// outran notes whether another relay was faster, and returns errOutrun when that happens all the time.
func (l *lane) outran(is bool) error {
	if !is {
		l.outrun = 0
		return nil
	}
	if l.outrun++; l.outrun < mostOutrun {
		return nil
	}
	return errOutrun
}

// follow returns when the sink has to be served: when rows wait for it and nobody brings it forward, when nobody
// confirms what it has, when log and sink no longer agree, and when one of them cannot be asked. It also returns when
// nothing has happened for so long that the log wants an empty batch, since nobody may be left to cut it.
func (l *lane) follow(ctx context.Context) {
	l.outrun = 0
	s, v, err := l.look(ctx)
	if err != nil || v.do != resume {
		return
	}
	l.log.Debug("another relay serves the sink", "sink", l.Name)
	defer l.tally.follows(false)
	look, confirms := time.NewTicker(followEvery), time.NewTicker(lookEvery)
	defer look.Stop()
	defer confirms.Stop()
	at, confirmed, lacked, moved := s.mark, ID{}, false, time.Now()
	for time.Since(moved) < emptyAfter {
		l.tally.begins(at)
		l.tally.follows(true)
		var mark Mark
		var lacks bool
		select {
		case <-ctx.Done():
			return
		case <-look.C:
			if mark, lacks, err = l.standing(ctx, s.reader, at); lacks && lacked {
				err = errLeft
			}
		case <-confirms.C:
			mark, lacks = at, lacked
			confirmed, err = l.unconfirmed(ctx, at, confirmed)
		}
		if err != nil || mark.Epoch != at.Epoch || mark.Last.Compare(at.Last) < 0 {
			l.log.Info("sink is served in place of another relay", "sink", l.Name, "after", mark.Last.String(), "why", err)
			return
		}
		if mark != at {
			moved = time.Now()
		}
		at, lacked = mark, lacks
	}
}

// standing returns the mark of a sink, and reports whether the mark is still where it was although the sink lacks rows.
// The log is not asked about a sink that moves.
func (l *lane) standing(ctx context.Context, r *ledger.Reader, was Mark) (mark Mark, lacks bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, l.patience)
	defer cancel()
	if mark, err = l.Sink.Mark(ctx); err == nil && mark == was {
		lacks, err = r.Lacks(ctx, mark.Last)
	}
	if err == nil && !lacks {
		l.tally.lags(time.Time{})
	}
	return mark, lacks, err
}

// unconfirmed returns up to where it is recorded what the sink has, and errLeft if that is still the same place, before
// the mark: a relay may have died right after it had appended something.
func (l *lane) unconfirmed(ctx context.Context, at Mark, was ID) (ID, error) {
	if !l.Tasks {
		return ID{}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, l.patience)
	defer cancel()
	confirmed, err := ledger.Confirmed(ctx, l.db, l.Name)
	if err == nil && confirmed == was && confirmed.Compare(at.Last) < 0 {
		err = errLeft
	}
	return confirmed, err
}
