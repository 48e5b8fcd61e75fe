package beat

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tactus-dev/tactus/internal/testenv"
)

// virtual runs a beat in a synctest bubble, where time passes as soon as all goroutines wait, and PostgreSQL's clock
// with it.
func virtual(t *testing.T, while func(w *world, b *Beat, feed *channelFeed)) {
	t.Helper()
	outer := newWorld(t)
	synctest.Test(t, func(t *testing.T) {
		pool := testenv.Connect(t, outer.url)
		w := &world{T: t, url: outer.url, pool: pool, store: outer.store, now: outer.now}
		feed := newFeed()
		b, err := New(pool, feed, Config{Name: "virtual"})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- b.Run(ctx) }()
		began, start := time.Now(), w.now
		ticking := make(chan struct{})
		go func() {
			defer close(ticking)
			for ctx.Err() == nil {
				w.setClock(start.Add(time.Since(began)))
				time.Sleep(50 * time.Millisecond)
			}
		}()
		time.Sleep(DefaultMinResync + time.Second) // the takeover has had its resync
		while(w, b, feed)
		cancel()
		<-ticking
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// TestSyncIsDebouncedWithoutLoss sends events of a hundred schedules, one per millisecond. The first one is read at
// once, the following ones by one query per 10 ms, the last one included.
func TestSyncIsDebouncedWithoutLoss(t *testing.T) {
	virtual(t, func(w *world, b *Beat, feed *channelFeed) {
		before := b.Stats().Syncs
		for n := range 100 {
			s := w.create(minutely(``))
			feed.messages <- w.told(s.ID, 1, "e")
			if n == 0 {
				synctest.Wait()
			}
			time.Sleep(time.Millisecond)
			if got := b.Stats(); n == 0 && got.Syncs != before+1 {
				w.Errorf("the first is not read at once: %d syncs", got.Syncs-before)
			}
		}
		time.Sleep(syncEvery)
		synctest.Wait()
		if got := b.Stats(); got.Schedules != 100 || got.Syncs-before > 12 {
			w.Errorf("%d of 100 schedules in memory after %d queries in 110 ms", got.Schedules, got.Syncs-before)
		}
	})
}

// TestResyncIsDebouncedWithoutLoss asks for a resync many times. The first resync begins at once, then there is one in
// each interval, and one begins after the last request.
func TestResyncIsDebouncedWithoutLoss(t *testing.T) {
	virtual(t, func(w *world, b *Beat, feed *channelFeed) {
		before := b.Stats().Resyncs
		resyncs := func() int64 {
			time.Sleep(time.Millisecond)
			synctest.Wait()
			return b.Stats().Resyncs - before
		}
		feed.lost <- "first"
		if n := resyncs(); n != 1 {
			w.Errorf("%d resyncs at once, want 1", n)
		}
		for range 40 { // four seconds
			feed.lost <- "again"
			time.Sleep(100 * time.Millisecond)
		}
		if n := resyncs(); n != 1 {
			w.Errorf("%d resyncs in four seconds, want 1", n)
		}
		time.Sleep(DefaultMinResync)
		if n := resyncs(); n != 2 {
			w.Errorf("%d resyncs, want a second one after those that were asked for meanwhile", n)
		}
		time.Sleep(10 * DefaultMinResync)
		if n := resyncs(); n != 2 {
			w.Errorf("%d resyncs, want no more", n)
		}
	})
}
