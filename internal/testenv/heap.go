package testenv

import (
	"runtime"
	"testing"
	"time"
)

// Heap does something and returns the most bytes that were in use meanwhile, more than before. Garbage does not count.
// Nothing else may be at work, so the test cannot be parallel.
func Heap(t *testing.T, do func()) (most int) {
	t.Helper()
	before := inUse()
	done, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		looks := time.NewTicker(10 * time.Millisecond)
		defer looks.Stop()
		for {
			select {
			case <-done:
				return
			case <-looks.C:
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
