package memory

// heap is a priority queue of the slots of one tier: the record that fires first is at its top.
type heap struct {
	of    *Memory
	slots []uint32
}

// Push puts a popped record back into the heap of its tier.
func (m *Memory) Push(slot uint32) {
	h := m.heapOf(slot)
	h.slots = append(h.slots, slot)
	h.siftUp(len(h.slots) - 1)
}

// Pop removes the record that fires first from the heap of a tier, and returns its slot. The caller pushes it back.
func (m *Memory) Pop(t Tier) (slot uint32) {
	slot = m.heaps[t].slots[0]
	m.heaps[t].removeAt(0)
	return slot
}

func (m *Memory) heapOf(slot uint32) *heap { return &m.heaps[m.At(slot).tier()] }

// fix restores the order of the heap after the Fire of a record has changed.
func (m *Memory) fix(slot uint32) {
	h := m.heapOf(slot)
	h.siftDown(m.At(slot).place())
	h.siftUp(m.At(slot).place())
}

// removeAt removes the i-th slot. The last slot takes its place, and may have to move down or up from there.
func (h *heap) removeAt(i int) {
	last := len(h.slots) - 1
	moved := h.slots[last]
	h.slots = h.slots[:last]
	if i == last {
		return
	}
	h.setSlot(i, moved)
	h.siftDown(i)
	h.siftUp(h.of.At(moved).place())
}

// arity is how many children a node of the heap has. A heap with four is half as deep as one with two, and the slots of
// four children lie within 16 bytes, so mostly on one cache line.
const arity = 4

func (h *heap) siftUp(i int) {
	slot := h.slots[i]
	fire := h.of.At(slot).Fire
	for i > 0 {
		parent := (i - 1) / arity
		if h.fireAt(parent) <= fire {
			break
		}
		h.setSlot(i, h.slots[parent])
		i = parent
	}
	h.setSlot(i, slot)
}

func (h *heap) siftDown(i int) {
	slot := h.slots[i]
	fire := h.of.At(slot).Fire
	for {
		least, leastFire := -1, fire
		for child := i*arity + 1; child <= i*arity+arity && child < len(h.slots); child++ {
			if f := h.fireAt(child); f < leastFire {
				least, leastFire = child, f
			}
		}
		if least < 0 {
			break
		}
		h.setSlot(i, h.slots[least])
		i = least
	}
	h.setSlot(i, slot)
}

// fireAt returns when the record of the i-th slot fires.
func (h *heap) fireAt(i int) Micros { return h.of.At(h.slots[i]).Fire }

// first returns when the record at the top fires, or Never if the heap is empty.
func (h *heap) first() Micros {
	if len(h.slots) == 0 {
		return Never
	}
	return h.fireAt(0)
}

// setSlot puts a slot at the i-th place of the heap, and notes the place in the record.
func (h *heap) setSlot(i int, slot uint32) {
	h.slots[i] = slot
	h.of.At(slot).setPlace(i)
}
