package access

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// sessions keeps the sessions of browsers.
type sessions struct {
	pool     *pgxpool.Pool
	lifetime time.Duration
}

// mostSessions is how many sessions a key or a subject may have at once. When one more begins, the oldest ends: whoever
// logs in anew gets in, and nobody fills the table.
const mostSessions = 100

// Logins of one principal wait for each other, because two at once would delete the same old sessions. They lock a row,
// that of the key or of the oldest session. An advisory lock would not do: anybody who may connect to the database can
// hold one, and keep everybody from logging in. The first session of a subject locks nothing and deletes nothing.
const (
	lockKey     = `select from tactus.access_keys where id = $1 for no key update`
	lockSubject = `
select from tactus.access_sessions where kind = $1 and name = $2 order by created_at, hash limit 1 for update`
)

const insertSession = `
with oldest as (
    delete from tactus.access_sessions where hash in (
        select hash from tactus.access_sessions where kind = @kind and name = @name
        order by created_at desc offset @most::bigint - 1)
)
insert into tactus.access_sessions (hash, key_id, kind, name, role, scope, expires_at)
values (@hash, @key::uuid, @kind, @name, @role, @scope, clock_timestamp() + @lifetime::float8 * interval '1 second')`

// open makes a session of a principal, and returns the text of its cookie. The session of a key lasts no longer than
// the key, whose state is looked at with each check.
func (s *sessions) open(ctx context.Context, p Principal) (cookie string, err error) {
	text, hash := newSecret("")
	args := pgx.NamedArgs{
		"hash": hash[:], "key": nil, "kind": string(p.Kind), "name": p.Name, "role": p.Role.String(),
		"scope": append([]string{}, p.Scope...), "lifetime": s.lifetime.Seconds(), "most": mostSessions,
	}
	lock, of := lockSubject, []any{string(p.Kind), p.Name}
	if p.Kind == Key {
		args["key"] = p.ID
		lock, of = lockKey, []any{p.ID}
	}
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lock, of...); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, insertSession, args)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("open a session: %w", err)
	}
	return text, nil
}

const closeSession = `delete from tactus.access_sessions where hash = $1`

func (s *sessions) close(ctx context.Context, cookie string) error {
	hash := sha256.Sum256([]byte(cookie))
	if _, err := s.pool.Exec(ctx, closeSession, hash[:]); err != nil {
		return fmt.Errorf("close a session: %w", err)
	}
	return nil
}

const pruneSessions = `
delete from tactus.access_sessions where hash in (
    select hash from tactus.access_sessions where expires_at < $1 order by expires_at limit 10000)`

// PruneSessions removes sessions that ended before an instant, a limited number at a time.
func PruneSessions(ctx context.Context, pool *pgxpool.Pool, before time.Time) error {
	if _, err := pool.Exec(ctx, pruneSessions, before); err != nil {
		return fmt.Errorf("remove sessions that have ended: %w", err)
	}
	return nil
}

// Names of the cookie. A browser takes one that begins with __Host- only over TLS, and from no other host, a parent
// domain included.
const (
	plainCookie = "tactus_session"
	hostPrefix  = "__Host-"
)

func (g *Guard) sessionOf(r *http.Request) string { return g.sent(r, plainCookie) }

// sent returns the value of a cookie that a browser sent; empty without one. Over TLS only one from this very host
// counts, because a sibling can set any other for the domain that both are in, and so have somebody act as itself.
func (g *Guard) sent(r *http.Request, name string) string {
	names := []string{hostPrefix + name, name}
	if g.overTLS(r) {
		names = names[:1]
	}
	for _, name := range names {
		if c, err := r.Cookie(name); err == nil && c.Value != "" {
			return c.Value
		}
	}
	return ""
}

// cookie returns the cookie of a session. Lax has it come along when somebody follows a link to a page; what changes
// something is refused to other origins whatever cookies come.
func (g *Guard) cookie(r *http.Request, value string, lifetime time.Duration) *http.Cookie {
	c := &http.Cookie{
		Name: plainCookie, Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
		MaxAge: int(lifetime.Seconds()),
	}
	if g.overTLS(r) {
		c.Name, c.Secure = hostPrefix+plainCookie, true
	}
	if value == "" {
		c.MaxAge = -1
	}
	return c
}
