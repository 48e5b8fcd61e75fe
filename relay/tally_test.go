package relay

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

// TestToldWithGrowingPauses has two kinds of trouble come again and again, with other numbers each time.
func TestToldWithGrowingPauses(t *testing.T) {
	t.Parallel()
	var tally tally
	now, times := time.Now(), 0
	for second := range 3600 {
		for _, err := range []error{fmt.Errorf("dial 127.0.0.1:%d", 40000+second), errors.New("no answer")} {
			if tally.failed(err, now) {
				times++
			}
		}
		now = now.Add(time.Second)
	}
	if times < 10 || times > 30 {
		t.Errorf("told %d times in an hour", times)
	}
	tally.served()
	if !tally.failed(errors.New("no answer"), now) {
		t.Error("after it was served, the same is news")
	}
}
