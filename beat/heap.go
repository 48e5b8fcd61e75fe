package beat

// push puts a record into the heap, by when it fires.
func (m *memory) push(slot uint32) {
	m.heap = append(m.heap, slot)
	m.up(len(m.heap) - 1)
}

// pop takes the record that fires first.
func (m *memory) pop() uint32 {
	first := m.heap[0]
	m.takeOut(0)
	return first
}

// takeOut takes the record at a place of the heap.
func (m *memory) takeOut(place int) {
	last := len(m.heap) - 1
	moved := m.heap[last]
	m.heap = m.heap[:last]
	if place == last {
		return
	}
	m.set(place, moved)
	m.down(place)
	m.up(int(m.at(moved).place))
}

// moved restores the order after a record's fire time has changed.
func (m *memory) moved(slot uint32) {
	m.down(int(m.at(slot).place))
	m.up(int(m.at(slot).place))
}

// arity makes the heap flat: a record's children lie on one cache line.
const arity = 4

func (m *memory) up(place int) {
	slot := m.heap[place]
	fire := m.at(slot).fire
	for place > 0 {
		parent := (place - 1) / arity
		if m.fireAt(parent) <= fire {
			break
		}
		m.set(place, m.heap[parent])
		place = parent
	}
	m.set(place, slot)
}

func (m *memory) down(place int) {
	slot := m.heap[place]
	fire := m.at(slot).fire
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
		m.set(place, m.heap[least])
		place = least
	}
	m.set(place, slot)
}

func (m *memory) fireAt(place int) int64 { return m.at(m.heap[place]).fire }

func (m *memory) set(place int, slot uint32) {
	m.heap[place] = slot
	m.at(slot).place = uint32(place)
}
