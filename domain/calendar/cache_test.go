package calendar_test

import (
	"fmt"
	"testing"

	"github.com/tactus-dev/tactus/domain/calendar"
)

// TestCache compiles what is asked for again once, and keeps no more than it may.
func TestCache(t *testing.T) {
	t.Parallel()
	cache := calendar.NewCache(1_600_000)
	for range 100 {
		if _, err := cache.Compile([]byte(`[{"from":"2026-01-05","rrule":"FREQ=WEEKLY"}]`)); err != nil {
			t.Fatal(err)
		}
	}
	if compiled, kept := cache.Counts(); compiled != 1 || kept < 100_000 {
		t.Errorf("compiled %d times, %d are kept", compiled, kept)
	}
	for n := range 30 {
		if _, err := cache.Compile(fmt.Appendf(nil, `[{"from":"2026-01-%02d","rrule":"FREQ=WEEKLY"}]`, n+1)); err != nil {
			t.Fatal(err)
		}
		if _, kept := cache.Counts(); kept > 1_600_000 {
			t.Errorf("%d are kept", kept)
		}
	}
	if _, err := cache.Compile([]byte(`["2026-02-30"]`)); err == nil {
		t.Error("a day that there is none of is compiled")
	}
}
