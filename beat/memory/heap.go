package memory

// Push puts a popped record back into the heap.
func (m *Memory) Push(slot uint32) {
	m.heap = append(m.heap, slot)
	m.siftUp(len(m.heap) - 1)
}

// Pop takes the record that fires first out of the heap, and returns its slot. The caller pushes it back.
func (m *Memory) Pop() (slot uint32) {
	slot = m.heap[0]
	m.removeAt(0)
	return slot
}

// removeAt removes the i-th record of the heap. The last one takes its place, and may have to go down or up from there.
func (m *Memory) removeAt(i int) {
	last := len(m.heap) - 1
	moved := m.heap[last]
	m.heap = m.heap[:last]
	if i == last {
		return
	}
	m.setSlot(i, moved)
	m.siftDown(i)
	m.siftUp(int(m.At(moved).heapIndex))
}

// fix restores the order after the Fire of a record has changed.
func (m *Memory) fix(slot uint32) {
	m.siftDown(int(m.At(slot).heapIndex))
	m.siftUp(int(m.At(slot).heapIndex))
}

// arity is how many children a record of the heap has. Four make the heap half as deep as two do, and the slots of four
// children lie on one cache line.
const arity = 4

func (m *Memory) siftUp(i int) {
	slot := m.heap[i]
	fire := m.At(slot).Fire
	for i > 0 {
		parent := (i - 1) / arity
		if m.fireAt(parent) <= fire {
			break
		}
		m.setSlot(i, m.heap[parent])
		i = parent
	}
	m.setSlot(i, slot)
}

func (m *Memory) siftDown(i int) {
	slot := m.heap[i]
	fire := m.At(slot).Fire
	for {
		least, leastFire := -1, fire
		for child := i*arity + 1; child <= i*arity+arity && child < len(m.heap); child++ {
			if f := m.fireAt(child); f < leastFire {
				least, leastFire = child, f
			}
		}
		if least < 0 {
			break
		}
		m.setSlot(i, m.heap[least])
		i = least
	}
	m.setSlot(i, slot)
}

// fireAt returns when the i-th record of the heap fires.
func (m *Memory) fireAt(i int) int64 { return m.At(m.heap[i]).Fire }

// setSlot puts a slot at the i-th place of the heap, and tells its record.
func (m *Memory) setSlot(i int, slot uint32) {
	m.heap[i] = slot
	m.At(slot).heapIndex = uint32(i)
}
