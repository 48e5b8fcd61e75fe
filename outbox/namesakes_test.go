package outbox_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// TestNamesakesDoNotQueue creates one name very often while a transaction that has it is open: a pool of connections is
// not taken up by those who wait, so that another name is created at once.
func TestNamesakesDoNotQueue(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	config := pool.Config()
	config.MaxConns = 4
	small, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(small.Close)
	store := outbox.NewStore(small, "", handover.Limits{}.Check)
	holder, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := outbox.Create(t.Context(), holder, definition("held")); err != nil {
		t.Fatal(err)
	}
	var creators sync.WaitGroup
	var taken atomic.Int64
	for range 200 {
		creators.Go(func() {
			if _, err := store.Create(t.Context(), definition("held"), "", nil); errors.Is(err, domain.ErrNameTaken) {
				taken.Add(1)
			} else {
				t.Errorf("%v", err)
			}
		})
	}
	for _, name := range []string{"a", "b", "c"} {
		if _, err := store.Create(t.Context(), definition(name), "", nil); err != nil {
			t.Errorf("%s waits for those who want another name: %v", name, err)
		}
	}
	if err := holder.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	creators.Wait()
	if taken.Load() != 200 {
		t.Errorf("%d of 200 were told that the name is taken", taken.Load())
	}
}
