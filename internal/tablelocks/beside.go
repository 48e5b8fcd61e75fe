package tablelocks

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// lookEvery is how often it is looked whether a lock is gone.
const lookEvery = time.Second

// Beside runs statements that name tables beside the way (sqlexpr.Side), and runs them without those that somebody has
// locked. While nobody has, it costs nothing: it asks only after a statement has given up. The connections need a
// lock_timeout from the beginning (postgres.OpenBounded), since such a statement waits before one of its own is in
// force.
type Beside struct {
	q   postgres.Querier
	log *slog.Logger

	mu     sync.Mutex
	held   []Lock // as they were last seen
	side   sqlexpr.Side
	looked time.Time
}

// NewBeside returns one that asks over q who has locked what.
func NewBeside(q postgres.Querier, log *slog.Logger) *Beside { return &Beside{q: q, log: log} }

const undefinedTable = "42P01" // SQLSTATE

// Do has do run a statement, which is a transaction, and once more if that gave up on a table without which it can be
// run, too. If it was ended for its time, as behind a pooler, the next one does without the table.
func (b *Beside) Do(ctx context.Context, sql string, do func(sql string) error) error {
	run := func(sql string) error {
		err := do(sql)
		if older := sqlexpr.BeforeUnlisted(sql); postgres.Code(err) == undefinedTable && older != sql {
			return do(older)
		}
		return err
	}
	side := b.now(ctx)
	err := run(side.Without(sql))
	if !waited(err) {
		return err
	}
	if without := b.look(ctx).Without(sql); postgres.LockTimedOut(err) && without != side.Without(sql) {
		return run(without)
	}
	return err
}

// Locked is the error of what would read a table that somebody has locked. It names who that is.
type Locked struct{ by string }

func (l *Locked) Error() string { return l.by }

// Read has do read a table, unless somebody is known to have locked it. It returns a *Locked then, and when do has
// waited for the table in vain.
func (b *Beside) Read(ctx context.Context, table string, do func() error) error {
	if err := b.Closed(ctx, table); err != nil {
		return err
	}
	err := do()
	if !waited(err) {
		return err
	}
	b.look(ctx)
	if locked := b.Closed(ctx, table); locked != nil {
		return locked
	}
	return err
}

// Closed returns a *Locked when somebody is known to keep a table from being read.
func (b *Beside) Closed(ctx context.Context, table string) error {
	b.now(ctx)
	b.mu.Lock()
	defer b.mu.Unlock()
	if by := Text(slices.DeleteFunc(among(b.held, table), readable)); by != "" {
		return &Locked{by}
	}
	return nil
}

// now returns the tables to do without. While there are some it looks once in a while whether they are free.
func (b *Beside) now(ctx context.Context) sqlexpr.Side {
	b.mu.Lock()
	side, due := b.side, len(b.held) > 0 && time.Since(b.looked) >= lookEvery
	b.mu.Unlock()
	if due {
		return b.look(ctx)
	}
	return side
}

// look finds out who has locked what, and tells the log once. What it cannot find out stays as it was.
func (b *Beside) look(ctx context.Context) sqlexpr.Side {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), explainWithin)
	defer cancel()
	all, err := Tables(ctx, b.q)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.looked = time.Now()
	if err != nil {
		b.log.Debug("nobody knows who has locked a table", "err", err)
		return b.side
	}
	var closed, open []string
	for _, l := range all {
		if readable(l) {
			open = append(open, l.Table)
		} else {
			closed = append(closed, l.Table)
		}
	}
	side := sqlexpr.SideOf(closed, open)
	switch {
	case len(all) > 0 && len(b.held) == 0:
		b.log.Warn("somebody has locked a whole table: what can do without it goes on", "err", Text(all))
	case len(all) == 0 && len(b.held) > 0:
		b.log.Info("no table is locked any more")
	}
	b.held, b.side = all, side
	return side
}

// Asks asks who has locked a table when a statement has failed that waited, or was ended for its time, and reports
// whether anybody has who kept it waiting.
func (b *Beside) Asks(ctx context.Context, sql string, err error) bool {
	if !waited(err) {
		return false
	}
	b.look(ctx)
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(among(b.held, sql)) > 0
}

// Locked reports whether one of some tables is locked, as far as is known.
func (b *Beside) Locked(ctx context.Context, tables string) bool {
	b.now(ctx)
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(among(b.held, tables)) > 0
}

// Partition reports whether a partition of a table is locked, and the table itself is not, as far as is known.
func (b *Beside) Partition(table string) (is bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range b.held {
		if l.Table == table {
			return false
		}
		is = is || l.Of == table
	}
	return is
}

// Blocks reports whether a statement has failed because of a lock on a whole table that it cannot do without. If it
// waited for a row (err says so), no table is to blame.
func (b *Beside) Blocks(sql string, err error) bool { return waited(err) && b.Waits(sql) != "" }

// Waits names those who keep a statement waiting by locks on tables that it cannot do without, as far as was known when
// one last gave up; "" when it is nobody.
func (b *Beside) Waits(sql string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return Text(among(b.held, b.side.Without(sql)))
}

// among returns the locks on tables that a statement names.
func among(held []Lock, sql string) (all []Lock) {
	for _, l := range held {
		if names(sql, l.Of) {
			all = append(all, l)
		}
	}
	return all
}

// readable reports whether a lock lets others read the table.
func readable(l Lock) bool { return l.Mode != "AccessExclusiveLock" }

// goesOn are characters by which a name goes on.
const goesOn = "abcdefghijklmnopqrstuvwxyz0123456789_("

// names reports whether a statement names a table.
func names(sql, table string) bool {
	for {
		at := strings.Index(sql, table)
		if at < 0 {
			return false
		}
		if sql = sql[at+len(table):]; sql == "" || !strings.ContainsRune(goesOn, rune(sql[0])) {
			return true
		}
	}
}
