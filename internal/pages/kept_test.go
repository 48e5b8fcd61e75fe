package pages

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tactus-dev/tactus/internal/access"
)

// as returns the context of a request by a key.
func as(ctx context.Context, name string, scope ...string) context.Context {
	return access.With(ctx, access.Principal{Kind: access.Key, Name: name, Role: access.Read, Scope: scope})
}

// TestKeptIsBounded asks for more values than are kept. Time is that of the bubble, so its sleeps cost nothing.
func TestKeptIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKept(time.Minute, slog.New(slog.DiscardHandler), func(_ context.Context, n int) (int, error) { return n, nil })
		for n := range 5 * mostKept {
			time.Sleep(time.Millisecond)
			if got, ok := k.of(as(t.Context(), "reader"), n); !ok || got != n {
				t.Fatalf("%d: %d %t", n, got, ok)
			}
		}
		if _, newest := k.known[5*mostKept-1]; len(k.known) != mostKept || !newest || len(k.making) > 0 {
			t.Errorf("%d are kept, %d are being made", len(k.known), len(k.making))
		}
		time.Sleep(keptGone)
		k.of(as(t.Context(), "reader"), -1)
		if len(k.known) != 1 {
			t.Errorf("%d are kept for longer than anybody wants them", len(k.known))
		}
	})
}

// TestKeptIsMadeByFew has many clients ask at once for values that take long to make.
func TestKeptIsMadeByFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most, made atomic.Int64
		k := newKept(time.Minute, slog.New(slog.DiscardHandler), func(ctx context.Context, _ string) (bool, error) {
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
			select {
			case <-ctx.Done():
				return false, ctx.Err()
			case <-time.After(10 * time.Second):
			}
			made.Add(1)
			return true, nil
		})
		for n := range 20 {
			go k.of(as(t.Context(), "one"), fmt.Sprint("one-", n))
		}
		synctest.Wait()
		if now.Load() != 1 {
			t.Errorf("%d are made at once for one client", now.Load())
		}
		for n := range 20 {
			go k.of(as(t.Context(), fmt.Sprint("client-", n)), fmt.Sprint("key-", n))
		}
		synctest.Wait()
		time.Sleep(makeTimeout)
		synctest.Wait()
		if most.Load() != mostMade || made.Load() != mostMade || len(k.making) > 0 {
			t.Errorf("%d at once, %d in all, %d still: pages that were answered ask for more", most.Load(), made.Load(), len(k.making))
		}
		if ok, known := k.of(as(t.Context(), "one"), "one-0"); known && !ok {
			t.Error("what was not made is known")
		}

		time.Sleep(2 * makeTimeout)
		made.Store(0)
		first, leave := context.WithCancel(as(t.Context(), "first"))
		second, leaveToo := context.WithCancel(as(t.Context(), "second"))
		go k.of(first, "shared")
		synctest.Wait()
		go k.of(second, "shared")
		synctest.Wait()
		leave()
		synctest.Wait()
		if now.Load() != 1 {
			t.Error("it has ended though another client waits")
		}
		leaveToo()
		synctest.Wait()
		if now.Load() != 0 || made.Load() != 0 {
			t.Error("it goes on though all clients are gone")
		}
	})
}

// TestScopesAreToldApart compares scopes that look alike when they are joined by spaces.
func TestScopesAreToldApart(t *testing.T) {
	t.Parallel()
	if scopeKey(as(t.Context(), "p", "tag:mine tag:other")) == scopeKey(as(t.Context(), "q", "tag:mine", "tag:other")) {
		t.Error("what is kept for one scope is shown to another")
	}
}

// TestKeptFollowsWhatIsQuick asks again for values that are made at once, and that take long. What is quick is as new
// as a second ago, and nobody waits for what is not.
func TestKeptFollowsWhatIsQuick(t *testing.T) {
	for takes, want := range map[time.Duration]int64{time.Millisecond: 2, time.Second: 1} {
		synctest.Test(t, func(t *testing.T) {
			var made atomic.Int64
			k := newKept(time.Minute, slog.New(slog.DiscardHandler), func(context.Context, string) (int64, error) {
				time.Sleep(takes)
				return made.Add(1), nil
			})
			if got, ok := k.of(as(t.Context(), "reader"), "a"); got != 1 || !ok {
				t.Errorf("first: %d %t", got, ok)
			}
			time.Sleep(2 * time.Second)
			began := time.Now()
			if got, ok := k.of(as(t.Context(), "reader"), "a"); got != want || !ok || time.Since(began) > quick {
				t.Errorf("what takes %s: %d %t, after %s", takes, got, ok, time.Since(began))
			}
			time.Sleep(2 * time.Minute)
			k.of(as(t.Context(), "reader"), "a")
			time.Sleep(2 * time.Second)
			if got := made.Load(); got != want+1 {
				t.Errorf("what takes %s was made %d times", takes, got)
			}
		})
	}
}
