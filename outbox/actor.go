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
// the events name the role of the database session (role:NAME). The reason may be empty. Control characters are
// removed, and names and reasons are cut to domain.MaxActor and domain.MaxReason.
func WithActor(ctx context.Context, name, reason string) context.Context {
	return context.WithValue(ctx, actorKey{}, actor{plain(name, domain.MaxActor), plain(reason, domain.MaxReason)})
}

// ActorOf returns the name and the reason that WithActor has put into a context.
func ActorOf(ctx context.Context) (name, reason string) {
	a := actorOf(ctx)
	return a.name, a.reason
}

func actorOf(ctx context.Context) actor {
	a, _ := ctx.Value(actorKey{}).(actor)
	return a
}

// plain returns a text as it is stored, without characters that PostgreSQL refuses or a terminal would obey.
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
