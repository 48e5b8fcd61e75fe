package testenv

import (
	"testing"
	"time"
)

// Patience is how long Eventually waits: so long that only what will never happen takes it.
const Patience = 4 * time.Minute

// Eventually waits until the condition gives no error, and fails t with the last one when it never does.
func Eventually(t testing.TB, what string, condition func() error) {
	t.Helper()
	deadline := time.Now().Add(Patience)
	for {
		err := condition()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s: %v", what, Patience, err)
		}
		select {
		case <-t.Context().Done():
			t.Fatalf("%s: the test ended first: %v", what, err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}
