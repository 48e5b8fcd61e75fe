package testenv

import (
	"runtime"
	"testing"
)

// Heap does something and returns the most bytes that were in use meanwhile, more than before. Garbage does not count. Nothing
// else may be at work, so the test cannot be parallel.
func Heap(t *testing.T, do func()) (most int) {
	t.Helper()
	before := inUse()
	done, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		for {
			select {
			case <-done:
				return
			default:
				most = max(most, inUse()-before)
			}
		}
	}()
	do()
	close(done)
	<-watched
	return most
}

func inUse() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
