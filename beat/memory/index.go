package memory

import (
	"hash/maphash"

	"github.com/tactus-dev/tactus/domain"
)

// index finds the slot of an id. It is a hash table with open addressing and linear probing (Knuth, TAOCP 6.4). A cell
// holds a slot and a 32-bit hash of the id; the ids themselves are in the records. A Go map from id to slot would take
// twice the memory, because it would hold each id a second time.
//
// Invariant: no free cell lies between the cell that the hash of an id selects (its home) and the cell that holds the
// id. So a search may end at the first free cell. After a cell was freed, the cells behind it are moved back until the
// invariant holds again.
type index struct {
	cells []cell // a power of two of them, at most three quarters in use
	used  int
	seed  maphash.Seed
}

type cell struct {
	hash uint32
	slot uint32 // plus one; 0 means that the cell is free
}

func newIndex() index { return index{cells: make([]cell, 16), seed: maphash.MakeSeed()} }

func (x *index) hash(id domain.ID) uint32 { return uint32(maphash.Bytes(x.seed, id[:])) }

func (x *index) mask() uint32 { return uint32(len(x.cells) - 1) }

// lookup returns the slot of an id and the number of its cell. If the id is not known, it returns the number of the
// free cell where the id belongs.
func (m *Memory) lookup(id domain.ID) (slot, cell uint32, known bool) {
	x := &m.index
	hash := x.hash(id)
	for cell = hash & x.mask(); x.cells[cell].slot != 0; cell = (cell + 1) & x.mask() {
		if c := x.cells[cell]; c.hash == hash && m.At(c.slot-1).ID == id {
			return c.slot - 1, cell, true
		}
	}
	return 0, cell, false
}

// insert puts a new slot into the free cell that lookup returned for the slot's id. It doubles the table if this makes
// more than three quarters of the cells used.
func (x *index) insert(at uint32, id domain.ID, slot uint32) {
	x.cells[at] = cell{x.hash(id), slot + 1}
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

// remove frees a cell, which leaves a gap. A cell behind the gap whose home does not lie between the gap and the cell
// itself is moved into the gap, since a search for its id would end there. The gap is then where that cell was. This
// goes on up to the next free cell.
func (x *index) remove(gap uint32) {
	for next := (gap + 1) & x.mask(); x.cells[next].slot != 0; next = (next + 1) & x.mask() {
		if home := x.cells[next].hash & x.mask(); (next-home)&x.mask() >= (next-gap)&x.mask() {
			x.cells[gap] = x.cells[next]
			gap = next
		}
	}
	x.cells[gap] = cell{}
	x.used--
}
