package shares_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/tactus-dev/tactus/internal/shares"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestTurnsOfACaller has a caller with a turn wait for another one, in which it keeps nobody else; it may give up.
func TestTurnsOfACaller(t *testing.T) {
	t.Parallel()
	turns := shares.NewTurns(1)
	first := enter(t, turns.Of(t.Context(), "eve"))
	ctx, hangUp := context.WithCancel(t.Context())
	gone, entered := make(chan error, 1), make(chan error, 1)
	go func() { gone <- enterLater(turns.Of(ctx, "eve")) }()
	go func() { entered <- enterLater(turns.Of(t.Context(), "eve")) }()
	waiting := func(want int) {
		t.Helper()
		testenv.Eventually(t, fmt.Sprint(want, " wait"), func() error {
			if n := turns.Waiting("eve"); n != want {
				return fmt.Errorf("%d wait", n)
			}
			return nil
		})
	}
	waiting(2)
	enter(t, turns.Of(t.Context(), "bob"))()
	hangUp()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("who gave up: %v", err)
	}
	waiting(1)
	first()
	if err := <-entered; err != nil {
		t.Error(err)
	}
	waiting(0)
}

// TestOneTurnForAllThatARequestHolds has a request hold several things, and give them back in any order.
func TestOneTurnForAllThatARequestHolds(t *testing.T) {
	t.Parallel()
	turns := shares.NewTurns(1)
	ctx := turns.Of(t.Context(), "eve")
	first, second := enter(t, ctx), enter(t, ctx)
	first()
	entered := make(chan error, 1)
	go func() { entered <- enterLater(turns.Of(t.Context(), "eve")) }()
	testenv.Eventually(t, "another request waits", func() error {
		if n := turns.Waiting("eve"); n != 1 {
			return fmt.Errorf("%d wait", n)
		}
		return nil
	})
	second()
	if err := <-entered; err != nil {
		t.Error(err)
	}
	enter(t, ctx)()
}

func enter(t *testing.T, ctx context.Context) (leave func()) {
	t.Helper()
	leave, err := shares.Enter(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return leave
}

func enterLater(ctx context.Context) error {
	leave, err := shares.Enter(ctx)
	if err == nil {
		leave()
	}
	return err
}
