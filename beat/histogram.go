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
	counts []uint64 // by bucket; the last one is of those beyond all bounds
	Count  uint64
	Sum    time.Duration
	Zero   uint64        // of durations that are at most 0
	Fine   map[int]int64 // of the others, by bucket: k is of those up to 2^(k/8) seconds and above 2^((k-1)/8)
}

// FineSchema is Prometheus' name for Fine's buckets, of which there are 2^FineSchema in each doubling.
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

// Cumulative returns how many durations are at most each bound, by its seconds.
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
