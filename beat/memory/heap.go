package memory

// push puts a record into the heap, by when it fires.
func (m *Memory) Push(slot uint32) {
	m.heap = append(m.heap, slot)
	m.siftUp(len(m.heap) - 1)
}

// pop takes the record that fires first.
func (m *Memory) Pop() uint32 {
	first := m.heap[0]
	m.removeAt(0)
	return first
}

// takeOut takes the record at a place of the heap.
func (m *Memory) removeAt(place int) {
	last := len(m.heap) - 1
	moved := m.heap[last]
	m.heap = m.heap[:last]
	if place == last {
		return
	}
	m.setSlot(place, moved)
	m.siftDown(place)
	m.siftUp(int(m.At(moved).heapIndex))
}

// moved restores the order after a record's fire time has changed.
func (m *Memory) fix(slot uint32) {
	m.siftDown(int(m.At(slot).heapIndex))
	m.siftUp(int(m.At(slot).heapIndex))
}

// arity makes the heap flat: a record's children lie on one cache line.
const arity = 4

func (m *Memory) siftUp(place int) {
	slot := m.heap[place]
	fire := m.At(slot).Fire
	for place > 0 {
		parent := (place - 1) / arity
		if m.fireAt(parent) <= fire {
			break
		}
		m.setSlot(place, m.heap[parent])
		place = parent
	}
	m.setSlot(place, slot)
}

func (m *Memory) siftDown(place int) {
	slot := m.heap[place]
	fire := m.At(slot).Fire
	for {
		least, leastFire := -1, fire
		for child := place*arity + 1; child <= place*arity+arity && child < len(m.heap); child++ {
			if f := m.fireAt(child); f < leastFire {
				least, leastFire = child, f
			}
		}
		if least < 0 {
			break
		}
		m.setSlot(place, m.heap[least])
		place = least
	}
	m.setSlot(place, slot)
}

func (m *Memory) fireAt(place int) int64 { return m.At(m.heap[place]).Fire }

func (m *Memory) setSlot(place int, slot uint32) {
	m.heap[place] = slot
	m.At(slot).heapIndex = uint32(place)
}
