package access

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// SessionInfo is what is known of the session of a browser.
type SessionInfo struct {
	ID        string // a part of its hash, which opens nothing
	CreatedAt time.Time
	ExpiresAt time.Time
	Current   bool // the request came with it
}

const (
	sessionID = `encode(substring(hash from 1 for 8), 'hex')`

	// ownSession is true of the sessions of whoever asks.
	ownSession = `kind = @kind and name = @name and key_id is not distinct from @key::uuid`

	listSessions = `
select ` + sessionID + `, created_at, expires_at, hash = @current::bytea from tactus.access_sessions
where ` + ownSession + ` and expires_at > clock_timestamp() order by created_at desc limit 100`

	endSession = `delete from tactus.access_sessions where ` + ownSession + ` and ` + sessionID + ` = @id`
)

// OwnSessions returns the open sessions of whoever sent a request, the newest first. Where nobody logs in there are
// none.
func OwnSessions(ctx context.Context) ([]SessionInfo, error) {
	v, ok := ctx.Value(visitKey{}).(visit)
	if !ok {
		return nil, nil
	}
	rows, err := v.guard.sessions.pool.Query(ctx, listSessions, v.owner())
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[SessionInfo])
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	return all, nil
}

// EndOwnSession ends a session of whoever sent a request, in every process within about a second, and reports whether
// there was one.
func EndOwnSession(ctx context.Context, id string) (bool, error) {
	v, ok := ctx.Value(visitKey{}).(visit)
	if !ok {
		return false, nil
	}
	args := v.owner()
	args["id"] = id
	done, err := v.guard.sessions.pool.Exec(ctx, endSession, args)
	if err != nil {
		return false, fmt.Errorf("end a session: %w", err)
	}
	return done.RowsAffected() > 0, nil
}

// owner returns the arguments by which the sessions of a visitor are found.
func (v visit) owner() pgx.NamedArgs {
	current := sha256.Sum256([]byte(v.guard.sessionOf(v.r)))
	args := pgx.NamedArgs{"kind": string(v.who.Kind), "name": v.who.Name, "key": nil, "current": current[:]}
	if v.who.Kind == Key {
		args["key"] = v.who.ID
	}
	return args
}
