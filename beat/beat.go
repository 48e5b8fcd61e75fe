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
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/tablelocks"
	"github.com/tactus-dev/tactus/outbox"
)

// How often the log is read with and without a feed, and how often everything may be compared.
const (
	DefaultPoll      = time.Second
	PollWithoutFeed  = time.Minute
	DefaultMinResync = 5 * time.Second
)

// DefaultStatements is how many statements fire at once, unless the configuration says otherwise.
const DefaultStatements = 2

// Config configures a beat. A zero field means its default.
type Config struct {
	Name       string        // unique among all beats, and the same after a restart
	Poll       time.Duration // how often the log is read
	MinResync  time.Duration // the least time between the beginnings of two resyncs
	Lease      time.Duration // how long a silent run without a time limit blocks the next, if they must not overlap
	Takeover   time.Duration // how late a due time may be and fire whatever its policy, because of a takeover
	Statements int           // how many fire at once when much is due, each on a connection of its own
	Shadow     bool          // decide and record, but fire nothing
	Log        *slog.Logger
	Traces     Traces // records traces of what the beat does; nil for none

	DeleteCompleted    bool          // delete completed schedules whose policy does not say what becomes of them
	CompletedRetention time.Duration // how long a completed schedule is kept before it is deleted
}

// Beat is one beat: a leader that fires, or a standby. Its state belongs to the goroutine that calls step; only the
// inbox and the stats are shared with others.
type Beat struct {
	cfg    Config
	mode   mode // what a shadow does differently
	pool   *pgxpool.Pool
	feed   Feed // nil: the beat only polls the log
	log    *slog.Logger
	holder string // names this process in the lease; unique even among processes with the same Config.Name

	clock     clock         // PostgreSQL's time
	clockStep memory.Micros // how far PostgreSQL's clock stepped during this step of the beat
	memory    *memory.Memory

	withdrawal withdrawal // of rows that were recorded while PostgreSQL's clock was ahead

	lease     tenure    // who fires, as far as this beat knows
	shadow    shadow    // in shadow mode: the beat that fires
	inbox     inbox     // what the feed has brought
	polls     polls     // how far the log has been read
	syncs     syncs     // schedules that are to be read
	unread    unread    // how to go on while the log cannot be read
	calendars calendars // whether they are to be compared with the table
	resync    resync
	paces     [memory.Tiers]pacing // how much of each tier one statement fires
	turns     turns                // which tier fires next
	parallel  sideBySide           // how many statements a firing has
	slow      slow                 // due times that take too long even in a statement of their own
	backlog   backlog              // how far handing over is behind firing
	locks     locks                // schedules that do not fire because another session has locked a row
	counts    counts               // whether the counts of runs can be read
	beside    *tablelocks.Beside   // how to do without a table that another session has locked
	refusals  firingRefused        // whether PostgreSQL refuses some decisions, or all of them
	invalid   invalid              // schedules that cannot be read
	pauses    pauses               // when the next pause ends
	spent     spent                // schedules that can fire no more
	backfills backfills            // which may go on
	stats     stats
	sums      sums
}

// named are the arguments of a statement.
type named = pgx.NamedArgs

// New returns a beat that uses the pool, and does not close it. If feed is nil, the beat hears of changes by polls
// alone.
func New(pool *pgxpool.Pool, feed Feed, cfg Config) (*Beat, error) {
	if cfg.Name == "" {
		return nil, errors.New("a beat needs a name")
	}
	if cfg.Statements < 0 {
		return nil, errors.New("a beat cannot fire by less than one statement")
	}
	if cfg.Poll < 0 || cfg.MinResync < 0 || cfg.Lease < 0 || cfg.Takeover < 0 {
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
	if cfg.Takeover == 0 {
		cfg.Takeover = domain.DefaultTakeover
	}
	if cfg.Statements == 0 {
		cfg.Statements = DefaultStatements
	}
	if cfg.CompletedRetention == 0 {
		cfg.CompletedRetention = DefaultCompletedRetention
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Beat{
		cfg: cfg, mode: modeOf(cfg.Shadow), pool: pool, feed: feed, log: cfg.Log,
		holder: cfg.Name + "/" + outbox.NewID().String(), memory: memory.New(cfg.Takeover),
		inbox:   inbox{notices: make(chan notice, inboxSize)},
		syncs:   syncs{pending: map[domain.ID]int64{}, every: syncEvery},
		invalid: invalid{found: map[domain.ID]unreadable{}}, pauses: pauses{later: map[domain.ID]memory.Micros{}},
		spent:     spent{found: map[domain.ID]judged{}, later: map[domain.ID]memory.Micros{}},
		backfills: newBackfills(cfg.Log), locks: newLocks(cfg.Log), slow: newSlow(cfg.Log), counts: newCounts(cfg.Log),
		paces: newPaces(), parallel: sideBySide{cfg.Statements, leastSideBySide},
		unread:   newUnread(cfg.Log),
		beside:   tablelocks.NewBeside(pool, cfg.Log),
		refusals: firingRefused{newRefusals(cfg.Log), newRefusals(cfg.Log)},
		lease:    tenure{locked: newLockedLease(cfg.Log)},
		stats:    stats{answered: localNow(), tellLate: localNow().Add(worthTelling)},
	}, nil
}

// Run loads all schedules, then syncs and fires until ctx ends, and finally gives the lease up. An error of a step is
// logged, and the step is tried again. Run only returns the error of giving the lease up.
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
	b.sums.tell(b.log, b.cfg.Shadow, true)
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	return b.release(last, b.clock.now().UnixMicro())
}

const (
	retryAfter     = 200 * time.Millisecond
	releaseTimeout = 5 * time.Second
)

// retry repeats an action until it succeeds, and reports whether it did before ctx ended.
func (b *Beat) retry(ctx context.Context, what string, act func(context.Context) error) bool {
	trouble := failureLog{log: b.log, level: slog.LevelError, what: what}
	for {
		err := tablelocks.Explain(ctx, b.pool, reason(postgres.Retry(ctx, func() error { return act(ctx) })))
		b.stats.setProblem(err)
		if err == nil {
			trouble.recovered()
			return true
		}
		if ctx.Err() == nil {
			trouble.report(err)
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(retryAfter):
		}
	}
}

// readOnly and inRecovery are the codes by which PostgreSQL refuses what only a primary can do.
const readOnly, inRecovery = "25006", "55000"

// reason returns the error with an explanation in front of it, if PostgreSQL does not accept writes. An error of
// connecting is left as it is: PostgreSQL also uses the code inRecovery for a database that allows no connections.
func reason(err error) error {
	if _, refused := errors.AsType[*pgconn.ConnectError](err); refused {
		return err
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && (e.Code == readOnly || e.Code == inRecovery) {
		return fmt.Errorf("the database is a standby, or takes no writes (default_transaction_read_only): %w", err)
	}
	return err
}

// wait sleeps until the instant, or until the feed brings something. It measures the time by the monotonic clock, and
// never sleeps longer than the time between two polls, because PostgreSQL's clock may step meanwhile.
func (b *Beat) wait(ctx context.Context, until memory.Micros) {
	timer := time.NewTimer(min(time.UnixMicro(until).Sub(b.clock.now()), b.cfg.Poll, renewEvery))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case n := <-b.inbox.notices:
		b.receive(n)
	case <-timer.C:
	}
}
