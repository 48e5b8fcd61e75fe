package memory

// interned keeps each distinct text and its parsed value once, as long as a record uses it.
type interned[T any] struct {
	parse  func(string) T
	forget func(T)           // called before a value is dropped; may be nil
	index  map[string]uint32 // number by text
	items  []counted[T]      // by number
	free   []uint32          // numbers that no record uses
}

// counted is a text, its parsed value, and the number of records that use it.
type counted[T any] struct {
	text  string
	value T
	uses  int
}

func newInterned[T any](parse func(string) T) interned[T] {
	return interned[T]{parse: parse, index: map[string]uint32{}}
}

// acquire returns the number of a text, and counts one more use of it. The caller later calls release once for each
// acquire.
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

// release counts one use less. After the last use it drops the text.
func (t *interned[T]) release(i uint32) {
	if t.items[i].uses--; t.items[i].uses == 0 {
		if t.forget != nil {
			t.forget(t.items[i].value)
		}
		delete(t.index, t.items[i].text)
		t.items[i] = counted[T]{}
		t.free = append(t.free, i)
	}
}

func (t *interned[T]) value(i uint32) T { return t.items[i].value }

func (t *interned[T]) text(i uint32) string { return t.items[i].text }
