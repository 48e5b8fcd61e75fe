package memory

import (
	"encoding/binary"
	"testing"

	"pgregory.net/rapid"

	"github.com/tactus-dev/tactus/domain"
)

// TestMemory puts, changes, removes and moves records at random, and compares memory with a plain map.
func TestMemory(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m, plain := New(domain.DefaultTakeover), map[domain.ID]Row{}
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				r := drawRow(t)
				if err := m.Put(r, Always); err != nil {
					t.Fatal(err)
				}
				plain[r.ID] = r
			},
			"remove": func(t *rapid.T) {
				id := drawID(t)
				m.Remove(id)
				delete(plain, id)
			},
			"move on": func(t *rapid.T) {
				if m.Len() == 0 || m.NextFire() == Never {
					t.Skip("nothing is due")
				}
				tier := Tier(0)
				for m.NextFireOf(tier) != m.NextFire() {
					tier++
				}
				slot := m.Pop(tier)
				m.SetDueAfter(m.At(slot), m.At(slot).Due)
				m.Push(slot)
			},
			"advance": func(t *rapid.T) {
				at := rapid.Int64Range(0, 1e9).Draw(t, "watermark")
				m.AdvanceTo(at)
				if m.NextFire() <= at {
					t.Fatalf("%d fires, up to %d everything has been settled", m.NextFire(), at)
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

var (
	drawnTriggers = []string{`{"every":1}`, `{"every":60}`, `{"cron":"* * * * *","timezone":"UTC"}`, `{"once":true}`}
	drawnPolicies = []string{`{"misfire":"latest","window":9,"grace":9}`, `{"misfire":"all","window":9,"grace":9}`}
)

func drawRow(t *rapid.T) Row {
	return Row{
		ID: drawID(t), Version: rapid.Int64Range(1, 9).Draw(t, "version"),
		Effective: rapid.Int64Range(0, 1e6).Draw(t, "effective"),
		Exhausted: rapid.IntRange(0, 9).Draw(t, "exhausted") == 0,
		Weight:    rapid.SampledFrom([]int64{0, 1 << 10, 1<<10 + 1, 8 << 10, 8<<10 + 1, 64 << 10, 250_000, 6_000_000}).Draw(t, "weight"),
		Trigger:   []byte(rapid.SampledFrom(drawnTriggers).Draw(t, "trigger")),
		Policy:    []byte(rapid.SampledFrom(drawnPolicies).Draw(t, "policy")),
	}
}

// agree checks that memory has the records of the map, finds them, keeps its heaps in order, and counts the uses of
// texts.
func agree(t *rapid.T, m *Memory, plain map[domain.ID]Row) {
	inHeaps := 0
	for i := range m.heaps {
		inHeaps += len(m.heaps[i].slots)
	}
	if m.Len() != len(plain) || inHeaps != len(plain) {
		t.Fatalf("%d found by id, %d in heaps, want %d", m.Len(), inHeaps, len(plain))
	}
	triggers := map[string]int{}
	for id, want := range plain {
		r, known := m.Find(id)
		if !known || r.ID != id || r.Version != uint32(want.Version) || m.At(m.heaps[r.tier()].slots[r.place()]) != r {
			t.Fatalf("%s: %+v, known %v", id, r, known)
		}
		if kib := int64(r.Weight()); kib<<10 < want.Weight || kib > 1 && kib<<9 >= want.Weight {
			t.Fatalf("%s weighs %d KiB, and its task has %d bytes", id, kib, want.Weight)
		}
		triggers[string(want.Trigger)]++
	}
	for tier := range m.heaps {
		h := &m.heaps[tier]
		for i := range h.slots {
			if i > 0 && h.fireAt(i) < h.fireAt((i-1)/arity) {
				t.Fatalf("the heap of tier %d is out of order at %d", tier, i)
			}
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
