package access

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
)

const (
	fresh      = time.Second // how long what was read of a secret is believed
	maxEntries = 10_000
	places     = 2 // how many secrets that are not remembered are looked up at once: guesses leave connections to others
)

// book remembers which principal each secret belongs to, so that a request rarely asks the database. It asks at most
// once a second for each secret, by one request on behalf of all that wait.
type book struct {
	pool      *pgxpool.Pool
	sql, note string // note says that a secret is used, if anything
	places    chan struct{}

	mu      sync.Mutex
	entries map[[32]byte]*entry
}

type entry struct {
	mu    sync.Mutex
	at    time.Time // when it was read
	noted time.Time // when its use was noted
	who   Principal
	state KeyState
	found bool
	ended time.Time // when it ends by itself; zero for never
}

func newBook(pool *pgxpool.Pool, sql, note string) *book {
	return &book{pool: pool, sql: sql, note: note, places: make(chan struct{}, places), entries: map[[32]byte]*entry{}}
}

const (
	findKey = `
select id, 'key', name, role, scope, case when revoked_at is not null then 'revoked'
    when expires_at <= clock_timestamp() then 'expired' else 'active' end,
    least(extract(epoch from expires_at - clock_timestamp()), 1e9)::float8
from tactus.access_keys where hash = $1`

	findSession = `
select coalesce(k.id, '00000000-0000-0000-0000-000000000000'), s.kind, s.name, s.role, s.scope,
    case when k.revoked_at is not null then 'revoked'
        when least(s.expires_at, k.expires_at) <= clock_timestamp() then 'expired' else 'active' end,
    least(extract(epoch from least(s.expires_at, k.expires_at) - clock_timestamp()), 1e9)::float8
from tactus.access_sessions s left join tactus.access_keys k on k.id = s.key_id where s.hash = $1`

	// useKey notes that a key was used, at most once a minute.
	useKey = `
update tactus.access_keys set last_used_at = clock_timestamp()
where hash = $1 and (last_used_at is null or last_used_at < clock_timestamp() - interval '1 minute')`
)

// remembered returns the remembered entry of a secret that is or was valid, or nil.
func (b *book) remembered(hash [32]byte) *entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.entries[hash]
}

// find returns whose a secret is, and whether it is still valid, as read from the database no longer than believe ago.
// found is false for a secret that never existed.
func (b *book) find(
	ctx context.Context, secret string, believe time.Duration,
) (who Principal, state KeyState, found bool, err error) {
	hash := sha256.Sum256([]byte(secret))
	e := b.remembered(hash)
	if e == nil {
		select {
		case b.places <- struct{}{}:
			defer func() { <-b.places }()
		case <-ctx.Done():
			return Principal{}, "", false, fmt.Errorf("look up a credential: %w", ctx.Err())
		}
		if e = b.remembered(hash); e == nil { // nobody else has found it meanwhile
			e = &entry{}
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if time.Since(e.at) > believe {
		if err := b.read(ctx, hash, e); err != nil {
			return Principal{}, "", false, err
		}
	}
	if e.state == Active && !e.ended.IsZero() && !time.Now().Before(e.ended) {
		e.state = Expired
	}
	return e.who, e.state, e.found, nil
}

func (b *book) read(ctx context.Context, hash [32]byte, e *entry) error {
	asked := time.Now()
	var role string
	var scope []string
	var rest *float64
	err := b.pool.QueryRow(ctx, b.sql, hash[:]).Scan(&e.who.ID, &e.who.Kind, &e.who.Name, &role, &scope, &e.state, &rest)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		e.at, e.found = asked, false
		b.forget(hash)
		return nil
	case err != nil:
		return fmt.Errorf("look up a credential: %w", err)
	}
	if err := e.who.Role.UnmarshalText([]byte(role)); err != nil {
		return fmt.Errorf("look up a credential: %w", err)
	}
	e.who.Scope, e.at, e.found, e.ended = scope, asked, true, time.Time{}
	if rest != nil {
		e.ended = asked.Add(time.Duration(*rest * float64(time.Second)))
	}
	b.remember(hash, e)
	if b.note != "" && e.state == Active && time.Since(e.noted) > time.Minute {
		e.noted = asked
		_, _ = b.pool.Exec(ctx, b.note, hash[:]) // where the database takes no changes just now, nobody is kept out
	}
	return nil
}

func (b *book) remember(hash [32]byte, e *entry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.entries[hash] == nil && len(b.entries) >= maxEntries {
		clear(b.entries) // each is one query away
	}
	b.entries[hash] = e
}

func (b *book) forget(hash [32]byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.entries, hash)
}

var (
	errUnknown = &domain.Error{Kind: domain.Unauthenticated, Code: "credentials_invalid", Field: "Authorization", Message: "this credential is not known here: check that it is whole, and of this installation"}
	errOver    = &domain.Error{Kind: domain.Unauthenticated, Code: "credentials_expired", Message: "the session is over, or its holder has another role: log in again"}
	errExpired = &domain.Error{Kind: domain.Unauthenticated, Code: "credentials_expired", Field: "Authorization", Message: "this credential has expired: get a new one"}
	errRevoked = &domain.Error{Kind: domain.Unauthenticated, Code: "credentials_revoked", Field: "Authorization", Message: "this credential was revoked: get a new one"}
)
