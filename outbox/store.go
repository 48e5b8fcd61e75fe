package outbox

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/room"
)

// Store writes schedules in transactions of its own. Each is a single statement, which rings the bell unless another
// write is about to.
type Store struct {
	pool     *pgxpool.Pool
	timezone string
	check    domain.Check // refuses what could never be handed over
	turn     *turn
	names    *namesakes
	streams  *streamNames
	lines    *lines
	room     *room.Room // for large manual runs
}

// NewStore returns a store over a pool, which the caller closes. timezone (IANA, or empty for UTC) applies to new
// schedules that name none. check refuses tasks that could never be handed over: use handover.Limits{}.Check for
// workers with Celery's default settings. With a nil check, every write that defines a task fails.
func NewStore(pool *pgxpool.Pool, timezone string, check domain.Check) *Store {
	if check == nil {
		check = noCheck
	}
	return &Store{
		pool: pool, timezone: timezone, check: check,
		turn: &turn{}, names: &namesakes{tried: map[string]*attempt{}}, streams: &streamNames{},
		lines: &lines{of: map[string]*line{}}, room: &room.Room{},
	}
}

func noCheck(domain.Task) error {
	return errors.New("the store was opened without a check of what can be handed over")
}

func (s *Store) writer() writer {
	return writer{q: s.pool, pool: s.pool, timezone: s.timezone, check: s.check, turn: s.turn, names: s.names, streams: s.streams, lines: s.lines}
}

// Get returns a living schedule, or domain.ErrNotFound.
func (s *Store) Get(ctx context.Context, id domain.ID) (domain.Schedule, error) {
	schedule, err := Get(ctx, s.pool, id)
	if err == nil && permitted(ctx, schedule.Definition) != nil {
		return domain.Schedule{}, domain.ErrNotFound
	}
	return schedule, err
}

// Create creates a schedule. With a key (an Idempotency-Key; empty for none) a repeated call with the same request
// returns the schedule that the first one made, and a call with another request is a fault. Keys are separate for each
// actor (see [WithActor]).
func (s *Store) Create(ctx context.Context, d domain.Definition, key string, request []byte) (domain.Schedule, error) {
	hash, key := sha256.Sum256(request), keyOf(ctx, key)
	o := option{key: key, requestHash: hash[:]}
	created, err := s.writer().create(ctx, d, o)
	if err == nil {
		s.lookAgain(ctx, created)
	}
	if key == "" || !(errors.Is(err, errKeyUsed) || errors.Is(err, domain.ErrNameTaken)) {
		return created, err
	}
	made, found, kerr := s.madeBefore(ctx, key, hash[:])
	if kerr != nil {
		return domain.Schedule{}, kerr
	}
	if !found {
		return domain.Schedule{}, err
	}
	return Get(ctx, s.pool, made)
}

// keyOf returns an idempotency key as it is stored, with the actor. If all actors shared their keys, whoever guessed a
// key that somebody else is about to use could have that request refused. A key that came in a header has no line end.
func keyOf(ctx context.Context, key string) string {
	if by := actorOf(ctx); key != "" && by.name != "" {
		return by.name + "\n" + key
	}
	return key
}

const usedKey = `select made, request_hash = $2 from tactus.idempotency where key = $1`

// madeBefore returns the id of the schedule or run that an earlier request with this key has made.
func (s *Store) madeBefore(ctx context.Context, key string, hash []byte) (id domain.ID, found bool, err error) {
	before, err := postgres.Collect(ctx, s.pool, pgx.RowToStructByPos[struct {
		Made        domain.ID
		SameRequest bool
	}], usedKey, key, hash)
	if err != nil {
		return id, false, fmt.Errorf("read idempotency key: %w", err)
	}
	if len(before) == 0 {
		return id, false, nil
	}
	if !before[0].SameRequest {
		return before[0].Made, true, &domain.Error{
			Kind: domain.Invalid, Code: "idempotency_key_reused", Field: "",
			Message: "this Idempotency-Key came with another request before: use a new key for a new request",
		}
	}
	return before[0].Made, true, nil
}

// Put creates the schedule of that name or replaces its definition. created reports which it did.
func (s *Store) Put(ctx context.Context, d domain.Definition) (after domain.Schedule, created bool, err error) {
	if after, created, err = s.writer().put(ctx, d); err == nil {
		s.lookAgain(ctx, after)
	}
	return after, created, err
}

// Compare returns the schedule of a definition's name, the zero value when there is none, and the definition as Put
// would store it. It writes nothing. A definition that Put would refuse is returned with its faults, and both are as
// far complete as they can be: one of an invalid schedule may be stored as it is.
func (s *Store) Compare(
	ctx context.Context, d domain.Definition,
) (before domain.Schedule, after domain.Definition, err error) {
	d.Name = strings.TrimSpace(d.Name)
	before, err = GetByName(ctx, s.pool, d.Name)
	if err != nil && !errors.Is(err, domain.ErrNotFound) {
		return before, after, err
	}
	c := domain.Context{ID: NewID(), Timezone: s.timezone, Check: s.check}
	if err == nil {
		if before.ManagedBy != "" {
			return before, after, domain.ErrManaged
		}
		c.ID, c.Previous = before.ID, &before.Definition
		err = permitted(ctx, before.Definition)
	} else {
		before, err = domain.Schedule{}, nil
	}
	if err != nil {
		return before, after, err
	}
	after, err = s.writer().normalize(ctx, d, c)
	if err == nil {
		return before, after, permitted(ctx, after)
	}
	if c.Previous != nil && domain.FaultsOf(err) != nil {
		before.Definition, after = before.Refused(c), d.Refused(c)
	}
	return before, after, err
}

// Merge changes the members that a patch names (RFC 7396). version is the one that the caller has read (If-Match), or 0
// for any.
func (s *Store) Merge(ctx context.Context, id domain.ID, version int64, patch []byte) (domain.Schedule, error) {
	after, err := s.writer().update(ctx, id, version, func(before domain.Schedule) (domain.Change, bool, error) {
		merged, err := before.Merge(patch)
		change, changed, faults := s.writer().redefine(ctx, merged)(before)
		return change, changed, domain.Join(err, faults)
	})
	if err == nil {
		s.lookAgain(ctx, after)
	}
	return after, err
}

// SetEnabled enables or disables a schedule.
func (s *Store) SetEnabled(ctx context.Context, id domain.ID, version int64, enabled bool) (domain.Schedule, error) {
	return s.writer().update(ctx, id, version, func(before domain.Schedule) (domain.Change, bool, error) {
		c, changed := before.SetEnabled(enabled)
		return c, changed, nil
	})
}

// Disable disables a schedule, or changes why it is disabled and until when. pause is called with the schedule and the
// database's time.
func (s *Store) Disable(ctx context.Context, id domain.ID, version int64,
	pause func(domain.Schedule, time.Time) (domain.Pause, error),
) (domain.Schedule, error) {
	return s.writer().update(ctx, id, version, s.decideAt(ctx, func(before domain.Schedule, now time.Time) (domain.Change, bool, error) {
		p, err := pause(before, now)
		if err != nil {
			return domain.Change{}, false, err
		}
		c, changed := before.Disable(p)
		return c, changed, nil
	}))
}

// Skip skips the next n due times of a schedule. With 0 it skips none any more.
func (s *Store) Skip(
	ctx context.Context, id domain.ID, version int64, count int, by, reason string,
) (domain.Schedule, error) {
	return s.writer().update(ctx, id, version, s.decideAt(ctx, func(before domain.Schedule, now time.Time) (domain.Change, bool, error) {
		var err error
		if before.Sets, err = SetsOf(ctx, s.pool, before.Definition); err != nil { // what they exclude is not skipped besides
			return domain.Change{}, false, err
		}
		return before.Skip(count, by, reason, now)
	}))
}

// decideAt decides on a change by the database's clock.
func (s *Store) decideAt(
	ctx context.Context, decide func(domain.Schedule, time.Time) (domain.Change, bool, error),
) decision {
	return func(before domain.Schedule) (domain.Change, bool, error) {
		now, err := clock(ctx, s.pool)
		if err != nil {
			return domain.Change{}, false, err
		}
		return decide(before, now)
	}
}

// Toggle enables a disabled schedule and disables an enabled one.
func (s *Store) Toggle(ctx context.Context, id domain.ID, version int64) (domain.Schedule, error) {
	return s.writer().update(ctx, id, version, func(before domain.Schedule) (domain.Change, bool, error) {
		c, changed := before.SetEnabled(!before.IsEnabled())
		return c, changed, nil
	})
}

// Delete deletes a schedule.
func (s *Store) Delete(ctx context.Context, id domain.ID, version int64) error {
	_, err := s.writer().update(ctx, id, version, func(before domain.Schedule) (domain.Change, bool, error) {
		return before.Delete(), true, nil
	})
	return err
}

// Redefine replaces the definition of a schedule; what it leaves out gets its default. version is the one the caller
// has read, or 0 for any.
func (s *Store) Redefine(
	ctx context.Context, id domain.ID, version int64, d domain.Definition,
) (domain.Schedule, error) {
	after, err := s.writer().update(ctx, id, version, s.writer().redefine(ctx, d))
	if err == nil {
		s.lookAgain(ctx, after)
	}
	return after, err
}
