package logging

import (
	"context"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"time"
)

// repeats is a handler that passes on the same trouble once, and then in growing pauses with the number of times that
// it was kept back. Warnings and errors are the same trouble when their message and attributes are the same, but for
// numbers in the message and in an error's text, such as ports. Lines of information pass as they are: each tells a
// state.
//
// Somebody who fails again and again has as a rule a pause of their own. This one is for the rest: drivers, many
// goroutines that meet the same closed port, and what nobody thought of.
type repeats struct {
	to   slog.Handler
	with string // what With and WithGroup have added, for the comparison
	seen *seen
}

// seen is what was passed on lately, of a handler and those that were made from it.
type seen struct {
	mu   sync.Mutex
	now  func() time.Time
	kept map[string]*trouble
}

type trouble struct {
	pause   time.Duration
	next    time.Time // when it is passed on again
	held    int       // times that it was kept back since it was passed on
	forgets time.Time // when it is new again
}

const (
	firstPause = time.Second
	lastPause  = 10 * time.Minute

	// forgetsAfter is how long a trouble stays away before it is a new one.
	forgetsAfter = 5 * time.Minute

	// mostTroubles bounds the memory of them. When there are more, all are forgotten, and each is passed on once more.
	mostTroubles = 1000
)

func newRepeats(to slog.Handler) slog.Handler {
	return repeats{to: to, seen: &seen{now: time.Now, kept: map[string]*trouble{}}}
}

// Enabled implements slog.Handler.
func (h repeats) Enabled(ctx context.Context, level slog.Level) bool { return h.to.Enabled(ctx, level) }

// Handle implements slog.Handler.
func (h repeats) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelWarn {
		return h.to.Handle(ctx, r)
	}
	held, pass := h.seen.note(h.with + kind(r))
	if !pass {
		return nil
	}
	if held > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int("repeated", held))
	}
	return h.to.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h repeats) WithAttrs(attrs []slog.Attr) slog.Handler {
	for _, a := range attrs {
		h.with += a.String() + "\x00"
	}
	h.to = h.to.WithAttrs(attrs)
	return h
}

// WithGroup implements slog.Handler.
func (h repeats) WithGroup(name string) slog.Handler {
	h.with += name + "\x01"
	h.to = h.to.WithGroup(name)
	return h
}

var numbers = regexp.MustCompile(`[0-9]+`)

// kind returns what two records of the same trouble have in common.
func kind(r slog.Record) string {
	var b strings.Builder
	b.WriteString(r.Level.String() + numbers.ReplaceAllString(r.Message, "0"))
	r.Attrs(func(a slog.Attr) bool {
		switch {
		case counted[a.Key]:
		case a.Key == "err":
			b.WriteString("\x00" + numbers.ReplaceAllString(a.Value.String(), "0"))
		default:
			b.WriteString("\x00" + a.String())
		}
		return true
	})
	return b.String()
}

// counted are attributes that say how often, how long or since when, and make no other trouble.
var counted = map[string]bool{"failed": true, "since": true, "after": true, "took": true, "attempts": true}

// note reports whether a trouble is to be passed on, and how often it was kept back since it last was.
func (s *seen) note(kind string) (held int, pass bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	t := s.kept[kind]
	if t == nil || now.After(t.forgets) {
		if len(s.kept) >= mostTroubles {
			clear(s.kept)
		}
		s.kept[kind] = &trouble{pause: firstPause, next: now.Add(firstPause), forgets: now.Add(forgetsAfter)}
		return 0, true
	}
	if now.Before(t.next) {
		t.held++
		return 0, false
	}
	held, t.held = t.held, 0
	t.pause = min(2*t.pause, lastPause)
	t.next, t.forgets = now.Add(t.pause), now.Add(t.pause+forgetsAfter)
	return held, true
}
