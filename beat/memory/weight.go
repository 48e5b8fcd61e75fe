package memory

import "math/bits"

// # Weight
//
// What it costs to fire a due time is the bytes of its task, which each run gets a copy of: a few hundred mostly, and
// up to a quarter of a megabyte. Memory keeps of them a class, in bits of a record that its place in the heap leaves
// free:
//
//	class    0        1        2        3        4   ...    8         9 ...
//	up to    1 KiB    2 KiB    4 KiB    8 KiB    16 KiB     256 KiB   512 KiB ...
//	tier     Light    └────── Medium ──────┘     └ Heavy: up to 64 KiB ┘ └ Huge ...
//
// Each tier has a heap of its own, the earliest first, so that what is heavy is never in the way of what is light,
// however much of it is due.

// Tier is which records take turns with which: those whose tasks have about the same size.
type Tier uint8

// The tiers, by the greatest task that a record of theirs has.
const (
	Light  Tier = iota // 1 KiB
	Medium             // 8 KiB
	Heavy              // 64 KiB
	Huge               // any

	Tiers = iota // how many there are
)

const (
	// weightUnit is the greatest task of class 0, in bytes.
	weightUnit = 1 << 10
	// classShift is where the class begins in a record's placeAndClass; below it is the place in the heap.
	classShift = 28
	placeMask  = 1<<classShift - 1
	lastClass  = 1<<(32-classShift) - 1
)

// classOf returns the class of a task of so many bytes.
func classOf(size int64) uint32 {
	if size <= weightUnit {
		return 0
	}
	return min(uint32(bits.Len64(uint64(size-1)/weightUnit)), lastClass)
}

func (r *Record) place() int { return int(r.placeAndClass & placeMask) }

func (r *Record) setPlace(i int) { r.placeAndClass = r.placeAndClass&^placeMask | uint32(i) }

func (r *Record) class() uint32 { return r.placeAndClass >> classShift }

// Weight returns about how many KiB the task of a record has: at least as many, and at most twice as many and one.
func (r *Record) Weight() int { return 1 << r.class() }

func (r *Record) tier() Tier { return Tier(min((r.class()+2)/3, Tiers-1)) }

// weigh notes the size of a record's task.
func (m *Memory) weigh(slot uint32, size int64) {
	r := m.At(slot)
	class := classOf(size)
	if class == r.class() {
		return
	}
	m.heapOf(slot).removeAt(r.place())
	r.placeAndClass = class << classShift
	m.Push(slot)
}

// FirstWeight returns the weight of the record of a tier that fires first; there is one.
func (m *Memory) FirstWeight(t Tier) int { return m.At(m.heaps[t].slots[0]).Weight() }

// NextFireOf returns when the first record of a tier fires, or Never.
func (m *Memory) NextFireOf(t Tier) Micros { return m.heaps[t].first() }
