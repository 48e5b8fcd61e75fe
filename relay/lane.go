package relay

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/tablelocks"
	"github.com/tactus-dev/tactus/relay/ledger"
)

// lane is the loop of one route.
type lane struct {
	Route
	db       *pgxpool.Pool
	log      *slog.Logger
	beside   *tablelocks.Beside
	patience time.Duration
	bell     chan struct{}
	traces   Traces // nil when nothing is recorded
	tally    tally
	epoch    string // the epoch of the last agreement
	stopped  bool   // the ledger says that the sink cannot be served

	owner    ledger.Owner // the owner for which the sink was last claimed
	moves    moves
	outrun   int // how often in a row another relay was faster
	ending   ending
	handedTo ID          // the last place that was handed over since the last agreement; for confirmAll only
	locked   []handedRun // runs that the sink has and whose rows were locked when last confirmed; for confirmAll only
}

const (
	firstPause   = 50 * time.Millisecond
	longestPause = time.Second
	// mostClashes is how many clashes with other transactions in a row are not yet reported as a failure of the sink.
	mostClashes = 20
	// mostMoves is how often in a row other relays may move the sink, without a message of this one in between, before
	// this is logged as a warning.
	mostMoves = 3
	// readAhead is how many chunks are read at most while one is published.
	readAhead = 2
	// confirmBehind is how many chunks are published at most while one is confirmed.
	confirmBehind = 2
)

// run carries rows to the sink until ctx ends. After each failure it agrees with the ledger and the sink again.
func (l *lane) run(ctx context.Context) {
	clashes := 0 // in a row
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		before := l.tally.get().Mark
		err := l.live(ctx)
		if ctx.Err() != nil {
			return
		}
		if l.tally.get().Mark != before {
			pause, clashes = firstPause, 0
		}
		if errors.Is(err, errMoved) {
			err = cmp.Or(l.outran(true), err)
		}
		switch clashes++; {
		case errors.Is(err, errOutrun):
			l.follow(ctx)
			continue
		case errors.Is(err, errMoved):
			l.tellMoved(ctx, clashes)
		case postgres.Clashes(err) && clashes <= mostClashes: // the next attempt may succeed
			pause = firstPause
		default:
			l.fail(ctx, err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// tellMoved logs that the sink was moved: the first time, and then after growing pauses. It is not a warning at first,
// since nobody has to act if one relay is faster than another, or if a sink has lost entries once.
func (l *lane) tellMoved(ctx context.Context, inRow int) {
	times, tell := l.moves.note(time.Now())
	if !tell {
		return
	}
	level := slog.LevelInfo
	if inRow > mostMoves {
		level = slog.LevelWarn
	}
	l.log.Log(ctx, level, "sink was moved", "sink", l.Name, "err", errMoved, "times", times)
}

// live agrees with the ledger and the sink, and then reads, publishes and confirms concurrently until one of them
// fails. Entries that the sink has taken are confirmed even if publishing fails afterwards: if the sink lost its data,
// tasks that were taken and not confirmed would be handed over although they may have started.
func (l *lane) live(ctx context.Context) error {
	s, err := l.agree(ctx)
	if err != nil {
		return err
	}
	l.tally.begins(s.mark)
	l.epoch, l.stopped = s.state.Epoch, s.state.Stopped != ""
	l.handedTo, l.locked = s.readAfter, nil // locked runs are read again
	group, living := errgroup.WithContext(ctx)
	chunks, published := make(chan chunk, readAhead), make(chan publishedChunk, confirmBehind)
	group.Go(func() error { return l.read(living, s, chunks) })
	group.Go(func() error {
		defer close(published)
		return l.publish(living, s, chunks, published)
	})
	group.Go(func() error { return l.confirmAll(ctx, s.mark, published) })
	return group.Wait()
}

// fail logs a failure, each distinct one at once and then after growing pauses, and measures since when rows wait to be
// published.
func (l *lane) fail(ctx context.Context, err error) {
	err = tablelocks.Explain(ctx, l.db, err)
	if l.tally.failed(err, time.Now()) {
		level := slog.LevelWarn
		if errors.Is(err, errRowsGone) {
			level = slog.LevelError
		}
		l.log.Log(ctx, level, "sink is not served", "sink", l.Name, "err", err)
	}
	if errors.Is(err, errRowsGone) {
		l.stop(ctx, err)
	}
	if err := l.measure(ctx); err != nil {
		l.tally.unknown()
		l.log.Debug("lag is not known", "sink", l.Name, "err", err)
	}
}

// stop records why the sink cannot be served, so that an operator can forget the sink at once.
func (l *lane) stop(ctx context.Context, why error) {
	ctx, cancel := context.WithTimeout(ctx, l.patience)
	defer cancel()
	if err := ledger.Stop(ctx, l.db, l.Name, l.epoch, why.Error()); err != nil {
		l.log.Warn("what is the matter is not kept", "sink", l.Name, "err", err)
	}
}

// served records that the sink is served again.
func (l *lane) served(ctx context.Context) error {
	if !l.stopped {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, l.patience)
	defer cancel()
	err := ledger.Stop(ctx, l.db, l.Name, l.epoch, "")
	l.stopped = err != nil
	return err
}

// measure finds out since when rows wait to be published. It asks PostgreSQL even if the answer cannot have changed,
// because the metrics also say whether PostgreSQL answers.
func (l *lane) measure(ctx context.Context) error {
	now := l.tally.get()
	ctx, cancel := context.WithTimeout(ctx, l.patience)
	defer cancel()
	since, err := ledger.Oldest(ctx, l.db, l.Name, l.Topic, now.Mark.Last)
	if err == nil {
		l.tally.lags(since)
	}
	return err
}
