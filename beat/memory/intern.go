package memory

// interned keeps equal texts once, parsed, as long as somebody uses them.
type interned[T any] struct {
	parse func(string) T
	index map[string]uint32
	items []counted[T]
	free  []uint32
}

type counted[T any] struct {
	text  string
	value T
	uses  int
}

func newInterned[T any](parse func(string) T) interned[T] {
	return interned[T]{parse: parse, index: map[string]uint32{}}
}

// use returns the number of a text. Each use is given back by a drop.
func (t *interned[T]) acquire(text []byte) uint32 {
	i, known := t.index[string(text)]
	if !known {
		i = t.insert(string(text))
	}
	t.items[i].uses++
	return i
}

func (t *interned[T]) insert(text string) (i uint32) {
	if last := len(t.free) - 1; last >= 0 {
		i, t.free = t.free[last], t.free[:last]
	} else {
		i = uint32(len(t.items))
		t.items = append(t.items, counted[T]{})
	}
	t.items[i] = counted[T]{text: text, value: t.parse(text)}
	t.index[text] = i
	return i
}

func (t *interned[T]) release(i uint32) {
	if t.items[i].uses--; t.items[i].uses == 0 {
		delete(t.index, t.items[i].text)
		t.items[i] = counted[T]{}
		t.free = append(t.free, i)
	}
}

func (t *interned[T]) value(i uint32) T { return t.items[i].value }

func (t *interned[T]) text(i uint32) string { return t.items[i].text }
