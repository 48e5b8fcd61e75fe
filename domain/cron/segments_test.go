package cron

import (
	"runtime"
	"testing"
	"time"
	"weak"
)

// TestTablesEndWithTheirLocation holds that nothing is kept for a location that nobody has any more.
func TestTablesEndWithTheirLocation(t *testing.T) {
	spec, err := Parse("0 9 * * *", Options{})
	if err != nil {
		t.Fatal(err)
	}
	key := func() weak.Pointer[time.Location] {
		location := time.FixedZone("odd", 61)
		if _, ok := spec.In(location, "", "").Next(time.Unix(0, 0)); !ok {
			t.Error("no due time")
		}
		key := weak.Make(location)
		if _, ok := tables.Load(key); !ok {
			t.Error("there is no table")
		}
		return key
	}()
	for deadline := time.Now().Add(time.Minute); ; runtime.Gosched() {
		runtime.GC()
		if _, ok := tables.Load(key); !ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the table has outlived its location")
		}
	}
}
