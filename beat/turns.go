package beat

import "github.com/tactus-dev/tactus/beat/memory"

// turns has tiers fire in turn, a statement each: a light task waits for one statement of heavy ones at most, however
// many of those are due, and heavy ones wait for no more than one of light ones and one of each other tier. Within a
// tier, what is due first fires first.
//
//	due at 9:00   light ×3   huge ×400
//	statements    light ×3 │ huge ×8 │ huge ×8 │ light, due at 9:00:01 │ huge ×8 │ ...
type turns struct {
	last    memory.Tier // that had a turn
	heavier memory.Tier // of those that are not light, the last that had one
}

// next returns the tier whose turn it is among those that have something to settle.
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

// had notes that a tier had its turn.
func (t *turns) had(tier memory.Tier) {
	if t.last = tier; tier != memory.Light {
		t.heavier = tier
	}
}
