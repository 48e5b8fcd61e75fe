package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/outbox"
)

// keyPrefix begins every key, so that scanners for secrets know it.
const keyPrefix = "tactus_"

// newSecret returns a random text, and the hash of it that is stored.
func newSecret(prefix string) (text string, hash [32]byte) {
	var random [32]byte
	_, _ = rand.Read(random[:]) // never fails
	text = prefix + base64.RawURLEncoding.EncodeToString(random[:])
	return text, sha256.Sum256([]byte(text))
}

// KeyState says whether a key is valid.
type KeyState string

// States of keys.
const (
	Active  KeyState = "active"
	Expired KeyState = "expired"
	Revoked KeyState = "revoked"
)

// KeyInfo describes a key without its text.
type KeyInfo struct {
	ID         domain.ID  `json:"id"`
	Name       string     `json:"name" doc:"Whose key it is; events name it as their actor."`
	Role       Role       `json:"role" enum:"read,write,admin"`
	Scope      Scope      `json:"scope" doc:"tag:TAG or name:PREFIX of the schedules that it is confined to; empty for all."`
	State      KeyState   `json:"state" enum:"active,expired,revoked"`
	CreatedAt  time.Time  `json:"created_at"`
	CreatedBy  string     `json:"created_by"`
	ExpiresAt  *time.Time `json:"expires_at"`
	RevokedAt  *time.Time `json:"revoked_at"`
	ReplacedBy *domain.ID `json:"replaced_by" nullable:"true" doc:"The key that has its name now."`
	LastUsedAt *time.Time `json:"last_used_at" doc:"To the minute."`
}

// NewKey describes a key to be made.
type NewKey struct {
	Name      string
	Role      Role
	Scope     Scope
	ExpiresAt *time.Time // nil for never
	By        string     // the actor who makes it
}

// IssuedKey is a key with its text, which nobody can see again.
type IssuedKey struct {
	KeyInfo
	Key string `json:"key" doc:"The key itself, which is shown this once."`
}

// Keys are the API keys of an installation.
type Keys struct {
	pool *pgxpool.Pool
	log  *slog.Logger
}

// NewKeys returns the keys in a database.
func NewKeys(pool *pgxpool.Pool) *Keys { return &Keys{pool, slog.New(slog.DiscardHandler)} }

// Logged returns keys whose changes are logged. Keys have no events in the outbox, because those go to everybody who
// may read the stream, and who need not know who may do what.
func (k *Keys) Logged(log *slog.Logger) *Keys { return &Keys{k.pool, log} }

// tell logs a change of a key unless it failed.
func (k *Keys) tell(ctx context.Context, what string, key KeyInfo, err error) {
	if err == nil {
		by, reason := outbox.ActorOf(ctx)
		k.log.Info(what, "key", key.Name, "key_id", key.ID, "role", key.Role, "scope", key.Scope, "by", by,
			"reason", reason)
	}
}

// Errors about keys.
var (
	ErrKeyNotFound = &domain.Error{Kind: domain.NotFound, Code: "not_found", Message: "there is no such key"}
	errKeyName     = &domain.Error{Kind: domain.Conflict, Code: "name_taken", Field: "/name", Message: "another key has this name: choose another, rotate that one, or revoke it first"}
	errExpiry      = &domain.Error{
		Kind: domain.Invalid, Code: "expiry_in_past", Field: "/expires_at",
		Message: "the key would be expired already: name a later time",
	}
	errOverlap = &domain.Error{
		Kind: domain.Invalid, Code: "overlap_invalid", Field: "/overlap_seconds",
		Message: fmt.Sprintf("want 0 to %d seconds", int(MaxOverlap.Seconds())),
	}
	errKeyEnded = &domain.Error{Kind: domain.Conflict, Code: "key_ended", Message: "the key is revoked, expired or replaced: make a new one"}
)

const keyColumns = `
    id, name, role, scope, case when revoked_at is not null then 'revoked'
        when expires_at <= clock_timestamp() then 'expired' else 'active' end,
    created_at, created_by, expires_at, revoked_at, replaced_by, last_used_at`

// insertKey takes over the name of an expired key, which stays in the list as replaced.
const insertKey = `
with ended as (
    update tactus.access_keys set replaced_by = @id::uuid
    where name = @name and revoked_at is null and replaced_by is null and expires_at <= clock_timestamp()
    returning id
)
insert into tactus.access_keys (id, name, hash, role, scope, created_by, expires_at)
select @id::uuid, @name, @hash::bytea, @role, @scope::text[], @by, @expires::timestamptz
from (select count(*) from ended) e
returning` + keyColumns

// Create makes a key. Its name must not be that of another valid key.
func (k *Keys) Create(ctx context.Context, n NewKey) (IssuedKey, error) {
	n.Name = strings.TrimSpace(n.Name)
	if err := n.check(); err != nil {
		return IssuedKey{}, err
	}
	text, hash := newSecret(keyPrefix)
	made, err := k.one(ctx, insertKey, pgx.NamedArgs{
		"id": outbox.NewID(), "name": n.Name, "hash": hash[:], "role": n.Role.String(),
		"scope": append([]string{}, n.Scope...), "by": n.By, "expires": n.ExpiresAt,
	})
	k.tell(ctx, "a key was made", made, err)
	return IssuedKey{made, text}, err
}

func (n NewKey) check() error {
	var faults domain.Faults
	add := func(code, field, message string) {
		faults = append(faults, &domain.Error{Kind: domain.Invalid, Code: code, Field: field, Message: message})
	}
	if size := len([]rune(n.Name)); size == 0 || size > 200 || strings.ContainsFunc(n.Name, func(r rune) bool {
		return unicode.IsControl(r) || r == '\u2028' || r == '\u2029'
	}) {
		add("name_invalid", "/name", "want a name of 1 to 200 characters, none of them a control character")
	}
	if n.Role == 0 {
		add("role_invalid", "/role", "want read, write or admin")
	}
	if err := n.Scope.Check(); err != nil {
		add("scope_invalid", "/scope", err.Error())
	}
	if inPast(n.ExpiresAt) {
		faults = append(faults, errExpiry)
	}
	if faults == nil {
		return nil
	}
	return faults
}

// inPast reports whether a key that expires then would be expired already.
func inPast(expires *time.Time) bool { return expires != nil && !expires.After(time.Now()) }

const listKeys = `select` + keyColumns + ` from tactus.access_keys order by created_at desc, id desc limit 10000`

// List returns all keys, the newest first.
func (k *Keys) List(ctx context.Context) ([]KeyInfo, error) {
	rows, err := k.pool.Query(ctx, listKeys)
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	all, err := pgx.CollectRows(rows, scanKey)
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	return all, nil
}

// revokeKey revokes a key and those that it has replaced.
const revokeKey = `
with recursive ended as (
    select id from tactus.access_keys where id = @id
    union
    select k.id from tactus.access_keys k join ended e on k.replaced_by = e.id
),
revoked as (
    update tactus.access_keys set revoked_at = coalesce(revoked_at, clock_timestamp())
    where id in (select id from ended) returning *
)
select` + keyColumns + ` from revoked where id = @id`

// Revoke ends a key, in every process within about a second, together with the sessions that were opened by it. The
// keys that it has replaced end, too, as they may still be valid: whoever revokes a key wants its holder out.
func (k *Keys) Revoke(ctx context.Context, id domain.ID) (KeyInfo, error) {
	ended, err := k.one(ctx, revokeKey, pgx.NamedArgs{"id": id})
	k.tell(ctx, "a key was revoked", ended, err)
	return ended, err
}

// rotateKey replaces a key by another of the same name, role, scope and lifetime.
const rotateKey = `
with replaced as (
    update tactus.access_keys set replaced_by = @new::uuid,
        expires_at = least(expires_at, clock_timestamp() + @overlap::float8 * interval '1 second')
    where id = @id and revoked_at is null and replaced_by is null
        and (expires_at is null or expires_at > clock_timestamp())
    returning name, role, scope, clock_timestamp() - created_at as age
),
before as (select expires_at - created_at as lifetime from tactus.access_keys where id = @id)
insert into tactus.access_keys (id, name, hash, role, scope, created_by, expires_at)
select @new::uuid, name, @hash, role, scope, @by, coalesce(@expires::timestamptz, clock_timestamp() + lifetime)
from replaced, before
returning` + keyColumns

// MaxOverlap is how long a replaced key may stay valid.
const MaxOverlap = 90 * 24 * time.Hour

// Rotate makes a key that replaces another one, with the same name, role and scope, and ends the other after overlap.
// The new key expires at expires, or, if that is nil, has the lifetime of the other.
func (k *Keys) Rotate(ctx context.Context, id domain.ID, overlap time.Duration, expires *time.Time, by string,
) (IssuedKey, error) {
	var faults domain.Faults
	if overlap < 0 || overlap > MaxOverlap {
		faults = append(faults, errOverlap)
	}
	if inPast(expires) {
		faults = append(faults, errExpiry)
	}
	if faults != nil {
		return IssuedKey{}, faults
	}
	text, hash := newSecret(keyPrefix)
	made, err := k.one(ctx, rotateKey, pgx.NamedArgs{
		"id": id, "new": outbox.NewID(), "overlap": overlap.Seconds(), "hash": hash[:], "by": by, "expires": expires,
	})
	if errors.Is(err, ErrKeyNotFound) {
		if _, found := k.Get(ctx, id); found == nil {
			return IssuedKey{}, errKeyEnded
		}
	}
	k.tell(ctx, "a key was rotated", made, err)
	return IssuedKey{made, text}, err
}

const getKey = `select` + keyColumns + ` from tactus.access_keys where id = @id`

// Get returns a key.
func (k *Keys) Get(ctx context.Context, id domain.ID) (KeyInfo, error) {
	return k.one(ctx, getKey, pgx.NamedArgs{"id": id})
}

func (k *Keys) one(ctx context.Context, sql string, args pgx.NamedArgs) (KeyInfo, error) {
	rows, err := k.pool.Query(ctx, sql, args)
	if err != nil {
		return KeyInfo{}, fmt.Errorf("keys: %w", err)
	}
	key, err := pgx.CollectExactlyOneRow(rows, scanKey)
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.ConstraintName == "access_keys_name" {
		return KeyInfo{}, errKeyName
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return KeyInfo{}, ErrKeyNotFound
	}
	if err != nil {
		return KeyInfo{}, fmt.Errorf("keys: %w", err)
	}
	return key, nil
}

func scanKey(row pgx.CollectableRow) (k KeyInfo, err error) {
	var role string
	var scope []string
	err = row.Scan(&k.ID, &k.Name, &role, &scope, &k.State, &k.CreatedAt, &k.CreatedBy, &k.ExpiresAt, &k.RevokedAt,
		&k.ReplacedBy, &k.LastUsedAt)
	if err != nil {
		return k, err
	}
	k.Scope = append(Scope{}, scope...)
	return k, k.Role.UnmarshalText([]byte(role))
}
