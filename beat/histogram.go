package beat

import (
	"maps"
	"math"
	"slices"
	"time"
)

// bounds are the upper ends of a histogram's buckets.
var bounds = []time.Duration{
	time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 150 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second,
	time.Minute, 10 * time.Minute, time.Hour,
}

// Histogram counts durations. The zero Histogram is empty.
type Histogram struct {
	counts []uint64 // by bucket of bounds; the last bucket is for durations beyond all bounds
	Count  uint64
	Sum    time.Duration
	Zero   uint64        // the number of durations that are at most 0
	Fine   map[int]int64 // the numbers of the others: bucket k is for durations in (2^((k-1)/8), 2^(k/8)] seconds
}

// FineSchema is the schema number by which Prometheus knows the buckets of Fine: a factor of two spans 2^FineSchema of
// them.
const FineSchema = 3

// observe counts a duration.
func (h *Histogram) observe(d time.Duration) {
	if h.counts == nil {
		h.counts = make([]uint64, len(bounds)+1)
	}
	bucket, _ := slices.BinarySearch(bounds, d)
	h.counts[bucket]++
	h.Count++
	h.Sum += d
	if d <= 0 {
		h.Zero++
		return
	}
	if h.Fine == nil {
		h.Fine = map[int]int64{}
	}
	h.Fine[int(math.Ceil(math.Log2(d.Seconds())*(1<<FineSchema)))]++
}

func (h Histogram) clone() Histogram {
	h.counts, h.Fine = slices.Clone(h.counts), maps.Clone(h.Fine)
	return h
}

// Cumulative returns, for each bound in seconds, how many durations are at most this bound.
func (h Histogram) Cumulative() map[float64]uint64 {
	buckets := make(map[float64]uint64, len(bounds))
	var sum uint64
	for i, bound := range bounds {
		if h.counts != nil {
			sum += h.counts[i]
		}
		buckets[bound.Seconds()] = sum
	}
	return buckets
}
