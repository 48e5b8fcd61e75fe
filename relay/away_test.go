package relay_test

import (
	"errors"
	"testing"

	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/relay"
)

// TestLagIsNotKnown stops PostgreSQL: Stats then says that it is not known whether rows wait.
func TestLagIsNotKnown(t *testing.T) {
	t.Parallel()
	server, url := testenv.Postgres(t, nil)
	w := at(t, testenv.Connect(t, url), testenv.Redis(t))
	r, _ := w.relay(t, relay.Config{}, w.events())
	sure := func(want bool) {
		t.Helper()
		testenv.Eventually(t, "what is known of the lag", func() error {
			if s := r.Stats()[0]; s.Known.IsZero() || s.Unsure == want || want != (s.Problem == nil) {
				return errors.New("not as it should be")
			}
			return nil
		})
	}
	w.put(t, "a", 2)
	w.awaitEvents(t)
	sure(true)
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	sure(false)
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	sure(true)
}
