// Package traceparent carries the trace context of W3C, as the text of the header traceparent, from where a request
// comes in to where its change is written. Both ends know no library of traces.
package traceparent

import (
	"context"
	"regexp"
)

type key struct{}

// With returns a context whose writes say in the headers of their events which trace they are part of.
func With(ctx context.Context, parent string) context.Context {
	return context.WithValue(ctx, key{}, parent)
}

// Of returns what With has put into a context; "" when it is part of no trace.
func Of(ctx context.Context) string {
	parent, _ := ctx.Value(key{}).(string)
	return parent
}

// OrNull is Of as an argument of a statement.
func OrNull(ctx context.Context) *string {
	if parent := Of(ctx); parent != "" {
		return &parent
	}
	return nil
}

var valid = regexp.MustCompile(`^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)

// Valid reports whether a text has the form of a traceparent.
func Valid(text string) bool { return valid.MatchString(text) }
