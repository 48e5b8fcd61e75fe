package beat

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/outbox"
)

// How often the log is read with and without a feed, and how often everything may be compared.
const (
	DefaultPoll      = time.Second
	PollWithoutFeed  = time.Minute
	DefaultMinResync = 5 * time.Second
)

// Config says how a beat works. Zero members mean the defaults.
type Config struct {
	Name      string        // of this beat among others, the same after a restart
	Poll      time.Duration // how often the log is read
	MinResync time.Duration // at most one resync in this time
	Lease     time.Duration // how long a silent run without a time limit keeps the next one back, where runs must not overlap
	Shadow    bool          // decide and record, and send nothing
	Log       *slog.Logger
}

// Beat is one beat: a leader that fires, or a standby. Its state belongs to the goroutine that calls step.
type Beat struct {
	cfg    Config
	mode   mode
	pool   *pgxpool.Pool
	feed   Feed
	log    *slog.Logger
	clock  clock
	memory *memory.Memory
	stats  stats

	holder  string // this process, of all that ever were
	epoch   int64  // of the lease as we took it last; 0 when another has it
	leading bool   // the lease is ours and the predecessor's state is taken in
	taken   leaseRow
	takenAt memory.Micros // what was due before may have been settled by another
	renewed time.Time
	looked  time.Time // at the lease, by the monotonic clock
	seen    *seenLease

	foreseen   *time.Time // when another's lease expires, as it was seen last
	foreseenAt time.Time  // since when it has been that
	lookAt     memory.Micros
	unsure     bool          // a commit was not answered: what it was to settle may be settled, or be settled yet
	stepped    memory.Micros // how far Postgres' clock stepped in this step of ours

	beside  *time.Time // in shadow mode: the lease of one that fires, as it was first seen
	retired bool       // in shadow mode: one that fires has come

	mark       *string // of the feed, from before the load
	heard      chan note
	events     int // heard in this step
	heardEpoch string
	unacked    []func() bool
	pending    map[domain.ID]int64 // schedules to read, with the newest version heard of
	syncAt     memory.Micros       // not before

	locks        locks
	unreadable   map[domain.ID]unreadable // to be recorded
	invalidateAt memory.Micros            // not before

	base      string  // the snapshot that polls count from
	polled    pollRow // the last poll, until memory has all of it
	processed string  // the snapshot of the log that memory has
	pollAt    memory.Micros
	life      string // of the database: server and timeline
	resync    resync
	resyncs   int64
	syncs     int64
}

type named = pgx.NamedArgs

// New returns a beat over a pool that it is lent. Without a feed (nil) it only polls.
func New(pool *pgxpool.Pool, feed Feed, cfg Config) (*Beat, error) {
	if cfg.Name == "" {
		return nil, errors.New("a beat needs a name")
	}
	if cfg.Poll < 0 || cfg.MinResync < 0 || cfg.Lease < 0 {
		return nil, errors.New("a beat's intervals cannot be negative")
	}
	if cfg.Poll == 0 {
		cfg.Poll = DefaultPoll
	}
	if cfg.MinResync == 0 {
		cfg.MinResync = DefaultMinResync
	}
	if cfg.Lease == 0 {
		cfg.Lease = domain.DefaultLease
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Beat{
		stats: stats{answered: localNow()},
		cfg:   cfg, mode: modeOf(cfg.Shadow), pool: pool, feed: feed, log: cfg.Log, memory: memory.New(), holder: cfg.Name + "/" + outbox.NewID().String(),
		heard: make(chan note, 4096), pending: map[domain.ID]int64{}, unreadable: map[domain.ID]unreadable{},
		locks: locks{
			pauses: map[domain.ID]time.Duration{}, waiting: map[domain.ID]progressed{},
			told: trouble{log: cfg.Log, level: slog.LevelWarn, what: "somebody has locked a row: a schedule fires when it is free"},
		},
	}, nil
}

// Run loads, then syncs and fires until ctx ends, and gives the lease up. What goes wrong with Postgres is logged and
// tried again; the error is of the end.
func (b *Beat) Run(ctx context.Context) error {
	if !b.retry(ctx, "start", b.start) {
		return nil
	}
	listening := make(chan struct{})
	go func() {
		defer close(listening)
		b.listen(ctx)
	}()
	defer func() { <-listening }()
	for ctx.Err() == nil {
		var wake memory.Micros
		stepped := b.retry(ctx, "step", func(ctx context.Context) (err error) {
			wake, err = b.step(ctx, b.clock.now().UnixMicro())
			return err
		})
		if stepped {
			b.wait(ctx, wake)
		}
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	return b.release(last, b.clock.now().UnixMicro())
}

const (
	retryAfter     = 200 * time.Millisecond
	releaseTimeout = 5 * time.Second
)

// retry repeats an action until it succeeds; false when ctx ended first.
func (b *Beat) retry(ctx context.Context, what string, act func(context.Context) error) bool {
	trouble := trouble{log: b.log, level: slog.LevelError, what: what}
	for {
		err := reason(outbox.Retry(ctx, func() error { return act(ctx) }))
		b.stats.trouble(err)
		if err == nil {
			trouble.over()
			return true
		}
		if ctx.Err() == nil {
			trouble.tell(err)
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(retryAfter):
		}
	}
}

// readOnly and inRecovery are how Postgres refuses what only a primary can do.
const readOnly, inRecovery = "25006", "55000"

// reason says first what an operator has to know of an error.
func reason(err error) error {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && (e.Code == readOnly || e.Code == inRecovery) {
		return fmt.Errorf("the database is a standby, or takes no writes (default_transaction_read_only): %w", err)
	}
	return err
}

// wait sleeps until the time has come or something is heard, by the monotonic clock, and never for longer than a poll:
// Postgres' clock may step meanwhile.
func (b *Beat) wait(ctx context.Context, until memory.Micros) {
	timer := time.NewTimer(min(time.UnixMicro(until).Sub(b.clock.now()), b.cfg.Poll, renewEvery))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case n := <-b.heard:
		b.note(n)
	case <-timer.C:
	}
}
