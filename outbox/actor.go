package outbox

import (
	"context"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tactus-dev/tactus/domain"
)

type actorKey struct{}

type actor struct{ name, reason string }

// WithActor returns a context whose writes say in the headers of their events who makes them, and why. Without an actor
// that is the role of the database session (role:NAME); a reason may be empty. Control characters are left out, and
// what is longer than domain.MaxActor or domain.MaxReason is cut.
func WithActor(ctx context.Context, name, reason string) context.Context {
	return context.WithValue(ctx, actorKey{}, actor{plain(name, domain.MaxActor), plain(reason, domain.MaxReason)})
}

// ActorOf returns what WithActor has put into a context.
func ActorOf(ctx context.Context) (name, reason string) {
	a := actorOf(ctx)
	return a.name, a.reason
}

func actorOf(ctx context.Context) actor {
	a, _ := ctx.Value(actorKey{}).(actor)
	return a
}

// plain returns a text as it is stored: without what PostgreSQL or a terminal would not take.
func plain(text string, most int) string {
	text = strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == utf8.RuneError {
			return -1
		}
		return r
	}, text))
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most])
	}
	return text
}
