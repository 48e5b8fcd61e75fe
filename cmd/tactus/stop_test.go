package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"
)

// TestGivesUpWhatDoesNotEnd stops a command of which one part ends and one does not.
func TestGivesUpWhatDoesNotEnd(t *testing.T) {
	t.Parallel()
	ctx, signal := context.WithCancel(t.Context())
	running, hang := newParts(), make(chan struct{})
	defer close(hang)
	running.limit = time.Millisecond
	var problems bytes.Buffer
	code := running.within(ctx, &problems, func() int {
		group, ctx := running.group(ctx)
		group.Go("the part that ends", func() error {
			<-ctx.Done()
			return nil
		})
		group.Go("the part that hangs", func() error {
			<-hang
			return nil
		})
		signal()
		_ = group.Wait()
		return exitOK
	})
	if code != exitFailure || !strings.Contains(problems.String(), "what did not end: the part that hangs") &&
		!strings.Contains(problems.String(), "the part that hangs\n") {
		t.Errorf("%d: %s", code, problems.String())
	}
}
