package outbox

import (
	"testing"
	"time"
)

func TestTurn(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_790_000_000, 0)
	var one turn
	first := one.take(now)
	if first == 0 || one.take(now) != 0 {
		t.Fatal("two have the turn")
	}
	if !one.end(first, false) {
		t.Error("what was left to a write that did not ring is not owed")
	}
	second := one.take(now)
	if one.end(second, false) {
		t.Error("a bell is owed that nobody left to the write")
	}
	third := one.take(now)
	one.take(now)
	if one.end(third, true) {
		t.Error("a bell is owed that was rung")
	}
	overdue := one.take(now)
	one.take(now)
	over := one.take(now.Add(turnLasts))
	if over == 0 {
		t.Fatal("a write that waits keeps the turn")
	}
	if one.end(overdue, false) {
		t.Error("a write that has lost the turn owes a bell")
	}
	if one.take(now.Add(turnLasts)) != 0 {
		t.Error("a write that has lost the turn has ended another's")
	}
	if !one.end(over, false) {
		t.Error("what was left to both is not owed")
	}
}
