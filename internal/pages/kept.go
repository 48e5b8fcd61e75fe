package pages

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/tactus-dev/tactus/internal/access"
)

// kept is a cache of values that pages show and that take long to make. A goroutine of its own makes a value, so a page
// never waits longer than firstWait for it.
//
// The cost is bounded however much is asked for and by whom: at most mostKept values are kept, at most mostMade are
// being made at once, and at most one of these for each principal.
type kept[K comparable, V any] struct {
	fresh  time.Duration // the age from which on a value is made anew
	create func(context.Context, K) (V, error)
	log    *slog.Logger

	mu     sync.Mutex
	known  map[K]keptValue[V]
	making map[K]*making
	ended  chan struct{} // closed, and replaced, whenever a making ends
}

type keptValue[V any] struct {
	value V
	made  time.Time
	took  time.Duration // to make
}

// making is a value that is being made.
type making struct {
	by      string // the principal that asked first
	done    chan struct{}
	cancel  context.CancelFunc
	waiting int  // requests that wait for it
	stays   bool // it goes on even if nobody waits, because a page that was sent without the value will be fetched again
}

const (
	mostKept    = 100
	mostMade    = 4 // at the same time
	keptGone    = 10 * time.Minute
	makeTimeout = time.Minute
	firstWait   = 2 * time.Second

	// What was made within quick is made anew sooner, and is waited for: pages of a small installation show what has
	// just been created.
	quick     = 100 * time.Millisecond
	keptTimes = 50 // so many times as long as it took
)

func newKept[K comparable, V any](fresh time.Duration, log *slog.Logger, create func(context.Context, K) (V, error),
) *kept[K, V] {
	return &kept[K, V]{
		fresh: fresh, create: create, log: log,
		known: map[K]keptValue[V]{}, making: map[K]*making{}, ended: make(chan struct{}),
	}
}

// of returns the value for a key: immediately if it is known, even if it is a little old, otherwise once it is made. ok
// is false if that takes longer than firstWait.
func (k *kept[K, V]) of(asked context.Context, key K) (value V, ok bool) {
	ctx, cancel := context.WithTimeout(asked, firstWait)
	defer cancel()
	for {
		value, ok, own, ended := k.ask(asked, key)
		if ok && own != nil {
			return k.soon(own, key, value), true
		}
		if ok {
			return value, true
		}
		wait := ended
		if own != nil {
			wait = own.done
		}
		select {
		case <-wait:
		case <-ctx.Done():
			k.leave(own, errors.Is(asked.Err(), context.Canceled))
			return value, false
		}
		if own != nil {
			return k.made(key)
		}
	}
}

// soon returns the value that is being made if it is there within quick, otherwise the old one.
func (k *kept[K, V]) soon(m *making, key K, old V) V {
	select {
	case <-m.done:
		if value, ok := k.made(key); ok {
			return value
		}
	case <-time.After(quick):
	}
	return old
}

// freshFor returns the age from which on a value is made anew.
func (k *kept[K, V]) freshFor(v keptValue[V]) time.Duration {
	if v.took > quick {
		return k.fresh
	}
	return min(k.fresh, max(time.Second, keptTimes*v.took))
}

// ask returns the known value, and starts to make a value that is unknown or old. If the value is unknown, or old and
// made quickly, own is its making, or nil if there is no room for it until another making ends.
func (k *kept[K, V]) ask(asked context.Context, key K) (value V, ok bool, own *making, ended chan struct{}) {
	k.mu.Lock()
	defer k.mu.Unlock()
	known, ok := k.known[key]
	age := time.Since(known.made)
	ok = ok && age < keptGone
	own = k.making[key]
	if own == nil && (!ok || age >= k.freshFor(known)) && k.hasRoom(access.From(asked).Actor()) {
		own = k.begin(asked, key)
		own.stays = ok
	}
	switch {
	case own != nil && !ok:
		own.waiting++
	case known.took > quick:
		own = nil
	}
	return known.value, ok, own, k.ended
}

func (k *kept[K, V]) hasRoom(client string) bool {
	for _, m := range k.making {
		if m.by == client {
			return false
		}
	}
	return len(k.making) < mostMade
}

func (k *kept[K, V]) begin(asked context.Context, key K) *making {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(asked), makeTimeout)
	m := &making{by: access.From(asked).Actor(), done: make(chan struct{}), cancel: cancel}
	k.making[key] = m
	go func() {
		defer cancel()
		began := time.Now()
		value, err := k.create(ctx, key)
		if err != nil && !errors.Is(ctx.Err(), context.Canceled) {
			k.log.Warn("what pages show was not made", "err", err)
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		delete(k.making, key)
		if err == nil {
			k.keep(key, value, time.Since(began))
		}
		close(m.done)
		close(k.ended)
		k.ended = make(chan struct{})
	}()
	return m
}

// keep stores a value. It drops those that are too old and, if there is no room, the oldest one.
func (k *kept[K, V]) keep(key K, value V, took time.Duration) {
	delete(k.known, key)
	var oldest K
	var since time.Time
	for old, v := range k.known {
		if time.Since(v.made) >= keptGone {
			delete(k.known, old)
		} else if since.IsZero() || v.made.Before(since) {
			oldest, since = old, v.made
		}
	}
	if len(k.known) >= mostKept {
		delete(k.known, oldest)
	}
	k.known[key] = keptValue[V]{value, time.Now(), took}
}

// leave cancels a making once all requests that waited for it were cancelled by their clients.
func (k *kept[K, V]) leave(m *making, gone bool) {
	if m == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	m.waiting--
	m.stays = m.stays || !gone
	if m.waiting == 0 && !m.stays {
		m.cancel()
	}
}

func (k *kept[K, V]) made(key K) (value V, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	known, ok := k.known[key]
	return known.value, ok
}

// scopeKey returns a text that differs between any two scopes, because no entry of a scope contains a NUL.
func scopeKey(ctx context.Context) string { return strings.Join(access.From(ctx).Scope, "\x00") }
