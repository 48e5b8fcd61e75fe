package outbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/postgres"
)

// Put creates the schedule of that name, or changes it to the definition; what the definition leaves out gets its
// default. It is part of the caller's transaction: it commits and rolls back with the caller's own rows, and none of
// its errors aborts that transaction. Faults of the definition are a domain.Faults, and so is a task that no worker
// could ever be handed. Wake the relay after the commit with Ring, or let InTx do both; without, the relay finds the
// change by polling.
func Put(ctx context.Context, tx pgx.Tx, d domain.Definition) (domain.Schedule, error) {
	s, _, err := within(tx).put(ctx, d)
	return s, err
}

// Create creates a schedule. A taken name is domain.ErrNameTaken.
func Create(ctx context.Context, tx pgx.Tx, d domain.Definition) (domain.Schedule, error) {
	return within(tx).create(ctx, d, option{})
}

// Update changes a schedule to the definition, its name too; what the definition leaves out gets its default. A taken
// name is domain.ErrNameTaken.
func Update(ctx context.Context, tx pgx.Tx, id domain.ID, d domain.Definition) (domain.Schedule, error) {
	w := within(tx)
	return w.update(ctx, id, 0, w.redefine(ctx, d))
}

// Enable lets a schedule fire from now on; what was due before is not caught up with.
func Enable(ctx context.Context, tx pgx.Tx, id domain.ID) (domain.Schedule, error) {
	return within(tx).setEnabled(ctx, id, true)
}

// Disable stops a schedule.
func Disable(ctx context.Context, tx pgx.Tx, id domain.ID) (domain.Schedule, error) {
	return within(tx).setEnabled(ctx, id, false)
}

// Delete deletes a schedule; its name is free again.
func Delete(ctx context.Context, tx pgx.Tx, id domain.ID) error {
	_, err := within(tx).update(ctx, id, 0, func(s domain.Schedule) (domain.Change, bool, error) {
		return s.Delete(), true, nil
	})
	return err
}

// writer is the one write path. With tx it works inside a caller's transaction; without, every write is a transaction
// of its own, one statement long, that rings if no other write of the store is about to.
type writer struct {
	q        Querier
	tx       pgx.Tx
	timezone string
	check    domain.Check
	pool     *pgxpool.Pool      // of a store
	turn     *turn              // of a store
	names    *namesakes         // of a store
	streams  *streamNames       // of a store
	lines    *lines             // of a store
	keeps    *domain.Definition // what is changed, if it is sound: it need not ask for a target that it has
}

// within returns a writer that refuses what can never be handed to Celery workers with default settings. Only whoever
// opens a store knows the settings of others.
func within(tx pgx.Tx) writer { return writer{q: tx, tx: tx, check: handover.Limits{}.Check} }

func (w writer) create(ctx context.Context, d domain.Definition, o option) (domain.Schedule, error) {
	id := NewID()
	d, err := w.normalize(ctx, d, domain.Context{ID: id, Timezone: w.timezone, Check: w.check})
	if err != nil {
		return domain.Schedule{}, err
	}
	if err := permitted(ctx, d); err != nil {
		return domain.Schedule{}, err
	}
	try := func() (domain.Schedule, error) {
		s, err := w.write(ctx, domain.Create(id, d), o, false)
		if errors.Is(err, errNotWritten) {
			return domain.Schedule{}, domain.ErrNameTaken
		}
		return s, err
	}
	if w.names == nil || o.key != "" { // a repeated request is answered what the first one made
		return try()
	}
	return w.names.create(ctx, d.Name, try)
}

// normalize judges by the database's clock whether a trigger is past. This machine's clock only tells whether to look
// at the database's. A trigger that passes before the write is refused by the write.
func (w writer) normalize(ctx context.Context, d domain.Definition, c domain.Context) (domain.Definition, error) {
	if size := sizeOf(d); w.tx != nil && size > domain.MaxPayload { // others look at what they read
		return domain.Definition{}, domain.Faults{domain.TooLong(size)}
	}
	c.Now = time.Now()
	normal, _, err := d.Normalize(c)
	if err == nil {
		return normal, w.known(ctx, normal, c.ID)
	}
	if !errors.Is(err, errAtInPast) && !errors.Is(err, errNoFire) {
		return normal, domain.Join(err, unknownCalendars(ctx, w.q, d))
	}
	now, failed := clock(ctx, w.q)
	if failed != nil {
		return domain.Definition{}, failed
	}
	c.Now = now
	if normal, _, err = d.Normalize(c); err != nil {
		return normal, domain.Join(err, unknownCalendars(ctx, w.q, d))
	}
	return normal, w.known(ctx, normal, c.ID)
}

// sizeOf returns how many bytes a definition has as JSON; 0 for one that cannot be written, which has other faults.
func sizeOf(d domain.Definition) int {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(d)
	return b.Len()
}

func (w writer) put(ctx context.Context, d domain.Definition) (after domain.Schedule, created bool, err error) {
	d.Name = strings.TrimSpace(d.Name) // as it is stored
	if d.Name == "" {
		after, err = w.create(ctx, d, option{})
		return after, err == nil, err
	}
	for range attempts {
		before, err := GetByName(ctx, w.q, d.Name)
		if err == nil {
			if err := permitted(ctx, before.Definition); err != nil {
				return domain.Schedule{}, false, err
			}
			after, err = w.decide(ctx, before, w.redefine(ctx, d))
		} else if created = errors.Is(err, domain.ErrNotFound); created {
			after, err = w.create(ctx, d, option{})
		}
		if !errors.Is(err, domain.ErrNameTaken) && !errors.Is(err, domain.ErrVersionConflict) {
			return after, created && err == nil, err
		}
	}
	return domain.Schedule{}, false, domain.ErrVersionConflict
}

func (w writer) setEnabled(ctx context.Context, id domain.ID, enabled bool) (domain.Schedule, error) {
	return w.update(ctx, id, 0, func(s domain.Schedule) (domain.Change, bool, error) {
		c, changed := s.SetEnabled(enabled)
		return c, changed, nil
	})
}

// decision returns the change to make to a schedule that was read, and false when there is none to make.
type decision func(domain.Schedule) (domain.Change, bool, error)

func (w writer) redefine(ctx context.Context, d domain.Definition) decision {
	return func(s domain.Schedule) (domain.Change, bool, error) {
		if w.keeps = nil; s.InvalidReason == "" {
			w.keeps = &s.Definition
		}
		normal, err := w.normalize(ctx, d, domain.Context{ID: s.ID, Timezone: w.timezone, Previous: &s.Definition, Check: w.check})
		if err != nil {
			return domain.Change{}, false, err
		}
		c, changed := s.Redefine(normal)
		return c, changed, nil
	}
}

// attempts is how often a change is decided anew at most because another writer was faster.
const attempts = 100

// update reads a schedule, decides on the change and writes it. It starts again while others are faster, unless the
// caller named the version that it had read (0: any).
func (w writer) update(ctx context.Context, id domain.ID, version int64, decide decision) (domain.Schedule, error) {
	for range attempts {
		before, err := Get(ctx, w.q, id)
		if err != nil {
			return domain.Schedule{}, err
		}
		if permitted(ctx, before.Definition) != nil {
			return domain.Schedule{}, domain.ErrNotFound
		}
		if version != 0 && version != before.Version {
			return domain.Schedule{}, domain.ErrVersionConflict
		}
		after, err := w.decide(ctx, before, decide)
		if !errors.Is(err, domain.ErrVersionConflict) || version != 0 {
			return after, err
		}
	}
	return domain.Schedule{}, domain.ErrVersionConflict
}

// decide refuses to change an adopted schedule, which its table would change back at the next change of the row.
func (w writer) decide(ctx context.Context, before domain.Schedule, decide decision) (domain.Schedule, error) {
	if before.ManagedBy != "" {
		return domain.Schedule{}, domain.ErrManaged
	}
	return w.decideAny(ctx, before, decide)
}

func (w writer) decideAny(ctx context.Context, before domain.Schedule, decide decision) (domain.Schedule, error) {
	change, changed, err := decide(before)
	if err != nil || !changed {
		return before, err
	}
	if err := permitted(ctx, change.After.Definition); err != nil {
		return domain.Schedule{}, err
	}
	after, err := w.write(ctx, change, option{}, change.After.Name != before.Name)
	if errors.Is(err, errNotWritten) {
		return domain.Schedule{}, domain.ErrVersionConflict
	}
	return after, err
}

// write rings only in a transaction of our own. A rename may violate the uniqueness of names, which aborts a
// transaction: inside a caller's transaction it is made under a savepoint.
func (w writer) write(ctx context.Context, c domain.Change, o option, renames bool) (domain.Schedule, error) {
	if c.Pauses && c.After.PausedBy == "" && c.After.PauseReason == "" {
		c.After.PausedBy, c.After.PauseReason = ActorOf(ctx)
	}
	if w.tx == nil {
		var s domain.Schedule
		key, locked := lineOf(c)
		err := w.lines.patiently(ctx, key, locked, func() (err error) {
			s, err = w.writeAlone(ctx, c, o)
			return err
		})
		return s, meaning(err)
	}
	if !renames {
		s, err := write(ctx, w.q, c, o)
		return s, meaning(err)
	}
	var s domain.Schedule
	err := pgx.BeginFunc(ctx, w.tx, func(savepoint pgx.Tx) (err error) {
		s, err = write(ctx, savepoint, c, o)
		return err
	})
	return s, meaning(err)
}

// lineOf returns the key of the line that a change waits in, and the error when the line does not move: a new schedule
// can only wait for another of its name.
func lineOf(c domain.Change) (key string, locked error) {
	if c.Type == domain.ScheduleCreated {
		return "name " + c.After.Name, lockedError(fmt.Sprintf("the name %q", c.After.Name))
	}
	return c.After.ID.String(), lockedError(fmt.Sprintf("the schedule %q (%s)", c.After.Name, c.After.ID))
}

// writeAlone writes in a transaction of our own. It rings if it is this write's turn, also for writes that left ringing
// to this one.
func (w writer) writeAlone(ctx context.Context, c domain.Change, o option) (s domain.Schedule, err error) {
	o.own = true
	if rehearsed(ctx) {
		err = postgres.Rehearse(ctx, w.pool, true, func(q Querier) (err error) {
			s, err = write(ctx, q, c, o)
			return err
		})
		return s, err
	}
	number := w.turn.take(time.Now())
	if number == 0 {
		return write(ctx, w.q, c, o)
	}
	defer func() {
		if w.turn.end(number, err == nil) {
			_ = Ring(ctx, w.q) // what it would tell is found by polling
		}
	}()
	err = postgres.Ringing(func(ring bool) (err error) {
		o.ring = ring
		s, err = write(ctx, w.q, c, o)
		return err
	})
	return s, err
}

// Faults of a trigger that is past, to compare errors with.
var (
	errAtInPast = &domain.Error{Code: "at_in_past"}
	errNoFire   = &domain.Error{Code: "no_fire_in_window"}
)

// errKeyUsed means that a request with the idempotency key has been answered already.
var errKeyUsed = errors.New("idempotency key used")

// meaning returns the domain's error for a constraint that the database says is violated.
func meaning(err error) error {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return err
	}
	switch {
	case pgErr.ConstraintName == "schedules_name":
		return domain.ErrNameTaken
	case pgErr.ConstraintName == "schedules_calendars": // one that was deleted since it was looked for
		return domain.Faults{{Kind: domain.Invalid, Code: domain.CodeCalendarUnknown, Message: "a calendar that the schedule names has just been deleted"}}
	case pgErr.ConstraintName == "idempotency_pkey":
		return errKeyUsed
	case pgErr.Code == "40001": // a caller's repeatable read or serializable transaction
		return fmt.Errorf("%w: %w", domain.ErrVersionConflict, err)
	}
	return err
}
