package memory

import "math/bits"

// # Weight
//
// The cost of firing a due time depends on the size of its task, because the event of each run holds a copy: mostly a
// few hundred bytes, and at most a quarter of a megabyte. Memory keeps only a class of the size, in the bits of a
// record that its place in the heap leaves free:
//
//	class    0        1        2        3        4   ...    8         9 ...
//	up to    1 KiB    2 KiB    4 KiB    8 KiB    16 KiB     256 KiB   512 KiB ...
//	tier     Light    └────── Medium ──────┘     └ Heavy: up to 64 KiB ┘ └ Huge ...
//
// Each tier has a heap of its own, so that heavy tasks never block light ones, however many heavy ones are due.

// Tier is a group of records whose tasks are of similar size. Tiers take turns in firing.
type Tier uint8

// The tiers, each with the greatest task that it holds.
const (
	Light  Tier = iota // 1 KiB
	Medium             // 8 KiB
	Heavy              // 64 KiB
	Huge               // any

	Tiers = iota // how many there are
)

const (
	// weightUnit is the size of the greatest task of class 0, in bytes.
	weightUnit = 1 << 10
	// classShift is the lowest bit of the class in a record's placeAndClass. The bits below are the place in the heap.
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

// Weight returns the size of the record's task in KiB, rounded up to a power of two.
func (r *Record) Weight() int { return 1 << r.class() }

func (r *Record) tier() Tier { return Tier(min((r.class()+2)/3, Tiers-1)) }

// weigh sets the weight of a record, and moves the record to another heap if needed.
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

// FirstWeight returns the weight of the record that fires first in a tier, which must not be empty.
func (m *Memory) FirstWeight(t Tier) int { return m.At(m.heaps[t].slots[0]).Weight() }

// NextFireOf returns when the first record of a tier fires, or Never if there is none.
func (m *Memory) NextFireOf(t Tier) Micros { return m.heaps[t].first() }
