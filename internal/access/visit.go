package access

import (
	"context"
	"net/http"
	"slices"
)

// visit is a request that a guard has let in.
type visit struct {
	guard  *Guard
	r      *http.Request // as it came
	who    Principal
	client string
}

type visitKey struct{}

// StillIn returns why the principal of a request may no longer be answered, or nil. A key may have been revoked or have
// expired, a session may have ended, a role may have changed. A handler that answers for long asks before each part of
// its answer.
func StillIn(ctx context.Context) error {
	v, ok := ctx.Value(visitKey{}).(visit)
	if !ok {
		return nil
	}
	who, err := v.guard.identify(v.r)
	if err == nil && !who.is(v.who) || isTooMany(err) {
		err = errOver
	}
	return err
}

// is reports whether two principals are the same, and may do the same.
func (p Principal) is(other Principal) bool {
	return p.Kind == other.Kind && p.ID == other.ID && p.Name == other.Name && p.Role == other.Role && slices.Equal(p.Scope, other.Scope)
}

// Client returns by what the requests of one caller are counted together: who they are, or where they come from if
// nothing proves that.
func Client(r *http.Request) string {
	if v, ok := r.Context().Value(visitKey{}).(visit); ok {
		return v.client
	}
	return peer(r)
}

// OverTLS reports whether the client's connection is encrypted, as this process or a trusted proxy sees it.
func OverTLS(r *http.Request) bool {
	if v, ok := r.Context().Value(visitKey{}).(visit); ok {
		return v.guard.overTLS(r)
	}
	return r.TLS != nil
}

func (g *Guard) counted(r *http.Request, who Principal) string {
	if who.Kind == Nobody || who.Kind == Anonymous {
		return g.address(r)
	}
	return who.Actor()
}
