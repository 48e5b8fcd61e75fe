package memory

import (
	"hash/maphash"

	"github.com/tactus-dev/tactus/domain"
)

// index finds the slot of an id. It is an open hash table of slots, with half of each hash beside its slot: the ids
// themselves are in the records. A Go map of the same takes twice the memory.
type index struct {
	cells []cell
	used  int
	seed  maphash.Seed
}

type cell struct {
	hash uint32
	slot uint32 // + 1; 0 is free
}

func newIndex() index { return index{cells: make([]cell, 16), seed: maphash.MakeSeed()} }

func (x *index) hash(id domain.ID) uint32 { return uint32(maphash.Bytes(x.seed, id[:])) }

func (x *index) mask() uint32 { return uint32(len(x.cells) - 1) }

// slot returns the slot of an id, and the place of its cell; or the place where it belongs.
func (m *Memory) lookup(id domain.ID) (slot, place uint32, known bool) {
	x := &m.index
	hash := x.hash(id)
	for place = hash & x.mask(); x.cells[place].slot != 0; place = (place + 1) & x.mask() {
		if c := x.cells[place]; c.hash == hash && m.At(c.slot-1).ID == id {
			return c.slot - 1, place, true
		}
	}
	return 0, place, false
}

// enter puts a new slot into the free cell that slot gave for its id.
func (x *index) insert(place uint32, id domain.ID, slot uint32) {
	x.cells[place] = cell{x.hash(id), slot + 1}
	if x.used++; x.used*4 <= len(x.cells)*3 {
		return
	}
	old := x.cells
	x.cells = make([]cell, 2*len(old))
	for _, c := range old {
		if c.slot == 0 {
			continue
		}
		to := c.hash & x.mask()
		for x.cells[to].slot != 0 {
			to = (to + 1) & x.mask()
		}
		x.cells[to] = c
	}
}

// leave frees a cell, and moves those behind it back, so that they are still found.
func (x *index) remove(place uint32) {
	for next := (place + 1) & x.mask(); x.cells[next].slot != 0; next = (next + 1) & x.mask() {
		if home := x.cells[next].hash & x.mask(); (next-home)&x.mask() >= (next-place)&x.mask() {
			x.cells[place] = x.cells[next]
			place = next
		}
	}
	x.cells[place] = cell{}
	x.used--
}
