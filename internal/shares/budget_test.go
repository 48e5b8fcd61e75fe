package shares_test

import (
	"fmt"
	"testing"

	"github.com/tactus-dev/tactus/internal/shares"
)

// TestOneCallerHoldsAQuarter has a caller take whatever it gets: others still get a quarter each, and what the first
// one gives back it may take again.
func TestOneCallerHoldsAQuarter(t *testing.T) {
	t.Parallel()
	b := shares.New(64)
	if got := takeAll(b, "eve"); got != 16 {
		t.Errorf("one caller holds %d of 64", got)
	}
	if !b.Take("bob", 16) || b.Take("bob", 1) {
		t.Errorf("another has %d, want 16", b.Held("bob"))
	}
	if b.Give("eve", 10); !b.Take("eve", 10) || b.Take("eve", 1) {
		t.Errorf("what was given back is not there: %d", b.Held("eve"))
	}
}

// TestManyCallersLeaveSomething has more and more callers take whatever they get: another always gets something.
func TestManyCallersLeaveSomething(t *testing.T) {
	t.Parallel()
	b := shares.New(1 << 20)
	for n := range 12 {
		if takeAll(b, fmt.Sprint(n)) == 0 {
			t.Errorf("caller %d gets nothing", n)
		}
	}
	for n := range 12 {
		b.Give(fmt.Sprint(n), b.Held(fmt.Sprint(n)))
	}
	if got := takeAll(b, "eve"); got != 1<<18 {
		t.Errorf("%d are free at the end", got)
	}
}

func takeAll(b *shares.Budget, caller string) int64 {
	for b.Take(caller, 1) {
	}
	return b.Held(caller)
}
