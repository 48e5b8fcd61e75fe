// Package traceparent carries the trace that a request is part of to where its change is written. Both ends know no
// library of traces: a trace context is a text in the form of W3C's header traceparent.
package traceparent

import "context"

// Begin begins a span and returns its context. end is called when what it is for has been done.
type Begin func(span string) (parent string, end func(error))

type key struct{}

// traced is what a context has of a trace.
type traced struct {
	parent string
	begin  Begin
}

// With returns a context whose writes are part of a trace: the headers of their events say so. If begin is not nil, an
// event has a span of its own in the trace.
func With(ctx context.Context, parent string, begin Begin) context.Context {
	return context.WithValue(ctx, key{}, traced{parent, begin})
}

// Event begins the span of an event that is written, and returns its context as an argument of a statement: nil when
// the event is part of no trace.
func Event(ctx context.Context, span string) (parent *string, end func(error)) {
	in, ok := ctx.Value(key{}).(traced)
	if !ok {
		return nil, untraced // which costs nothing
	}
	own, end := in.parent, untraced
	if in.begin != nil {
		own, end = in.begin(span)
	}
	return &own, end
}

func untraced(error) {}
