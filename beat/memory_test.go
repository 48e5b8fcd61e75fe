package beat

import (
	"encoding/binary"
	"testing"

	"pgregory.net/rapid"

	"github.com/tactus-dev/tactus/domain"
)

// TestMemory puts, changes, removes and settles at random, and compares with a plain map.
func TestMemory(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m, plain := newMemory(), map[domain.ID]row{}
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				r := drawRow(t)
				if err := m.put(r, always); err != nil {
					t.Fatal(err)
				}
				plain[r.id] = r
			},
			"remove": func(t *rapid.T) {
				id := drawID(t)
				m.remove(id)
				delete(plain, id)
			},
			"settle": func(t *rapid.T) {
				if m.len() == 0 || m.next() == never {
					t.Skip("nothing is due")
				}
				slot := m.pop()
				m.place(m.at(slot), m.at(slot).due)
				m.push(slot)
			},
			"pass": func(t *rapid.T) {
				at := rapid.Int64Range(0, 1e9).Draw(t, "watermark")
				m.pass(at)
				if m.next() <= at {
					t.Fatalf("%d fires, up to %d everything has been settled", m.next(), at)
				}
			},
			"": func(t *rapid.T) { agree(t, m, plain) },
		})
	})
}

// drawID draws few ids that lie close together, so that they meet in the index.
func drawID(t *rapid.T) (id domain.ID) {
	binary.BigEndian.PutUint16(id[14:], rapid.Uint16Range(1, 300).Draw(t, "id"))
	return id
}

func drawRow(t *rapid.T) row {
	return row{
		id: drawID(t), version: rapid.Int64Range(1, 9).Draw(t, "version"), effective: rapid.Int64Range(0, 1e6).Draw(t, "effective"),
		exhausted: rapid.IntRange(0, 9).Draw(t, "exhausted") == 0,
		trigger:   []byte(rapid.SampledFrom([]string{`{"every":1}`, `{"every":60}`, `{"cron":"* * * * *","timezone":"UTC"}`, `{"once":true}`}).Draw(t, "trigger")),
		policy:    []byte(rapid.SampledFrom([]string{`{"misfire":"latest","window":9,"grace":9}`, `{"misfire":"all","window":9,"grace":9}`}).Draw(t, "policy")),
	}
}

// agree checks that memory has what the map has, finds it, keeps its heap in order and its texts counted.
func agree(t *rapid.T, m *memory, plain map[domain.ID]row) {
	if m.len() != len(plain) || len(m.heap) != len(plain) {
		t.Fatalf("%d found by id, %d in the heap, want %d", m.len(), len(m.heap), len(plain))
	}
	triggers := map[string]int{}
	for id, want := range plain {
		r, known := m.find(id)
		if !known || r.id != id || r.version != uint32(want.version) || m.heap[r.place] >= m.slots || m.at(m.heap[r.place]) != r {
			t.Fatalf("%s: %+v, known %v", id, r, known)
		}
		triggers[string(want.trigger)]++
	}
	for place := range m.heap {
		if place > 0 && m.fireAt(place) < m.fireAt((place-1)/arity) {
			t.Fatalf("the heap is out of order at %d", place)
		}
	}
	if len(m.triggers.index) != len(triggers) {
		t.Fatalf("%d triggers are kept, %d are used", len(m.triggers.index), len(triggers))
	}
	for text, uses := range triggers {
		if i, ok := m.triggers.index[text]; !ok || m.triggers.items[i].uses != uses {
			t.Fatalf("trigger %s: known %v, want %d uses", text, ok, uses)
		}
	}
}
