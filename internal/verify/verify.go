package verify

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/cursor"
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay/ledger"
)

// Config configures a check.
type Config struct {
	Stream        string  // the key of the event stream
	Sink          string  // the name of the stream's sink in relay_batches
	Limit         int     // how many problems to report; the rest is counted (0: 1,000)
	Window        *Window // check every due time in this window, unless nil
	KnownRestores bool    // losses by restorations are known: they are reported, but are no problem

	Wait time.Duration // how long to wait for the relay; events that were committed before and not published then are a problem
}

const defaultLimit = 1000

// checker is the state of one check.
type checker struct {
	config    Config
	pool      *pgxpool.Pool
	redis     redis.UniversalClient
	tallies   *tallies
	ends      streamEnds
	life      ledger.State // the ledger's record of the sink
	published edge         // covers the events that must be in the stream
	trimmed   edge         // covers the events that may be missing from its beginning
	aside     map[domain.ID][]uint32
	restores  []*restore
	ahead     *restore // the stream is ahead of the log by an unnoticed restoration; nil if it is not
	calendars map[string][]calendarPast
	report    Report
}

// Run runs a check, with a pool and a client that the caller still owns. An error means that the check could not be
// done; problems that it has found are in the report.
func Run(ctx context.Context, pool *pgxpool.Pool, client redis.UniversalClient, config Config) (*Report, error) {
	if config.Limit == 0 {
		config.Limit = defaultLimit
	}
	c := &checker{config: config, pool: pool, redis: client, tallies: newTallies(), report: Report{Problems: []Problem{}}}
	before, err := c.awaitRelay(ctx)
	if err != nil {
		return nil, fmt.Errorf("wait for the relay: %w", err)
	}
	if err := c.readRestores(ctx); err != nil {
		return nil, fmt.Errorf("read Postgres: %w", err)
	}
	if err := c.readStream(ctx); err != nil {
		return nil, fmt.Errorf("read the stream: %w", err)
	}
	err = pgx.BeginTxFunc(ctx, pool, oneLook, func(tx pgx.Tx) error { return c.readPostgres(ctx, tx, before) })
	if postgres.LockTimedOut(err) {
		err = fmt.Errorf("somebody has locked a table, see pg_locks: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("read Postgres: %w", err)
	}
	for id, t := range c.tallies.all() {
		c.compareEvents(id, t)
		c.compareProjection(id, t)
	}
	c.compareRestores()
	slices.SortFunc(c.report.Problems, Problem.compare)
	return &c.report, nil
}

// oneLook makes a transaction see PostgreSQL as of one instant.
var oneLook = pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}

func (c *checker) readPostgres(ctx context.Context, tx pgx.Tx, before outbox.Snapshot) error {
	if _, err := tx.Exec(ctx, cursor.Unhurried); err != nil {
		return err
	}
	if err := c.readEdges(ctx, tx, before); err != nil {
		return err
	}
	if err := c.readAside(ctx, tx); err != nil {
		return err
	}
	if err := c.readSchedules(ctx, tx); err != nil {
		return err
	}
	if err := c.readLog(ctx, tx, before); err != nil {
		return err
	}
	if err := c.lookForIdle(ctx, tx); err != nil {
		return err
	}
	if err := c.readRuns(ctx, tx); err != nil || c.config.Window == nil {
		return err
	}
	return c.readDueTimes(ctx, tx)
}
