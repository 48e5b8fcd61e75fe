package access

import (
	"math"
	"sync"
	"time"
)

// throttle has a token bucket for each of many names. A bucket holds up to burst tokens, and gets rate tokens a second.
type throttle struct {
	rate, burst float64

	mu      sync.Mutex
	buckets map[string]*bucket
}

type bucket struct {
	tokens float64
	at     time.Time
}

// maxBuckets is how many names are remembered. Buckets that are full again are forgotten first.
const maxBuckets = 10_000

func newThrottle(rate, burst float64) *throttle {
	return &throttle{rate: rate, burst: burst, buckets: map[string]*bucket{}}
}

// take takes a token and returns 0, or returns how long the name has to wait for its next token.
func (t *throttle) take(name string) (wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.buckets[name]
	if b == nil {
		t.forgetSome()
		b = &bucket{tokens: t.burst, at: time.Now()}
		t.buckets[name] = b
	}
	if t.fill(b) < 1 {
		return time.Duration((1 - b.tokens) / t.rate * float64(time.Second))
	}
	b.tokens--
	return 0
}

func (t *throttle) fill(b *bucket) float64 {
	now := time.Now()
	b.tokens = math.Min(t.burst, b.tokens+now.Sub(b.at).Seconds()*t.rate)
	b.at = now
	return b.tokens
}

func (t *throttle) forgetSome() {
	if len(t.buckets) < maxBuckets {
		return
	}
	for name, b := range t.buckets {
		if t.fill(b) >= t.burst {
			delete(t.buckets, name)
		}
	}
	if len(t.buckets) >= maxBuckets {
		clear(t.buckets)
	}
}
