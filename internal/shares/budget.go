// Package shares divides among callers what a process may hold for all of them, so that none keeps the others from
// theirs.
package shares

import "sync"

// Budget counts the bytes that are held, by caller. One caller holds at most a quarter of them, and never more than is
// left free: whatever some callers hold, there is something left for another.
type Budget struct {
	most int64

	mu   sync.Mutex
	held int64
	by   map[string]int64
}

// New returns a budget of so many bytes.
func New(most int64) *Budget { return &Budget{most: most, by: map[string]int64{}} }

// Take counts n more bytes of a caller, or reports false and counts none.
func (b *Budget) Take(caller string, n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	own, all := b.by[caller]+n, b.held+n
	if n > 0 && (own > b.share() || own > b.most-all) {
		return false
	}
	if b.by[caller], b.held = own, all; own == 0 {
		delete(b.by, caller)
	}
	return true
}

// Give counts n bytes of a caller no more.
func (b *Budget) Give(caller string, n int64) { b.Take(caller, -n) }

// Exceeds reports whether a caller who takes n more bytes holds more than one may, whatever others hold.
func (b *Budget) Exceeds(caller string, n int64) bool { return b.Held(caller)+n > b.share() }

func (b *Budget) share() int64 { return b.most / 4 }

// Held returns how many bytes a caller holds.
func (b *Budget) Held(caller string) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.by[caller]
}
