package beat

import "github.com/tactus-dev/tactus/beat/memory"

// turns lets tiers fire in turn, each by one statement. So a light task waits for at most one statement of heavier
// ones, however many of those are due, and between two statements of a heavier tier each other heavier tier has at most
// one, with one of light tasks before each. Within a tier, what is due first fires first.
//
//	due at 9:00   light ×3   huge ×400
//	statements    light ×3 │ huge ×8 │ huge ×8 │ light, due at 9:00:01 │ huge ×8 │ ...
type turns struct {
	last    memory.Tier // that fired last
	heavier memory.Tier // that fired last of the tiers other than Light
}

// next returns the tier whose turn it is among those that are due, and whether there is one.
func (t *turns) next(due func(memory.Tier) bool) (next memory.Tier, any bool) {
	if t.last != memory.Light && due(memory.Light) {
		return memory.Light, true
	}
	const heavier = memory.Tiers - 1
	for i := range memory.Tier(heavier) {
		if next = memory.Light + 1 + (t.heavier+i)%heavier; due(next) {
			return next, true
		}
	}
	return memory.Light, due(memory.Light)
}

// hadTurn notes that a tier has had its turn.
func (t *turns) hadTurn(tier memory.Tier) {
	if t.last = tier; tier != memory.Light {
		t.heavier = tier
	}
}
