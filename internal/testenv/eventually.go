package testenv

import (
	"testing"
	"time"
)

// Patience is how long Eventually waits: so long that only what will never happen takes it.
const Patience = 4 * time.Minute

// lookAgain is the longest time between two looks of Eventually.
const lookAgain = 50 * time.Millisecond

// Eventually waits until the condition gives no error, and fails t with the last one when it never does. It looks again
// after a twentieth of the time that it has waited so far: a long wait leaves the processors to what it waits for.
func Eventually(t testing.TB, what string, condition func() error) {
	t.Helper()
	began := time.Now()
	for {
		err := condition()
		if err == nil {
			return
		}
		waited := time.Since(began)
		if waited > Patience {
			t.Fatalf("%s: not within %s: %v", what, Patience, err)
		}
		select {
		case <-t.Context().Done():
			t.Fatalf("%s: the test ended first: %v", what, err)
		case <-time.After(min(max(5*time.Millisecond, waited/20), lookAgain)):
		}
	}
}
