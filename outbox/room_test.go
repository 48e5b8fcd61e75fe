package outbox_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// TestLargeManualRunsWaitForRoom asks for very many runs of a large task while a sink takes nothing. No more are
// recorded than may wait, whoever asks: what falls due then waits for those at most. Small tasks are recorded all the
// while, and large ones again as soon as the sink has taken some.
func TestLargeManualRunsWaitForRoom(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	store := outbox.NewStore(pool, "", handover.Limits{}.Check)
	large := json.RawMessage(`{"k":"` + strings.Repeat("x", 250_000) + `"}`)
	d := definition("large")
	d.Kwargs = large
	heavy, err := store.Create(t.Context(), d, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	light, err := store.Create(t.Context(), definition("light"), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	testenv.RunSink(t, pool, "celery")
	own := outbox.Manual{With: []byte(`{"kwargs":` + string(large) + `}`)}
	made := 0
	for range 100 {
		id, m := heavy.ID, outbox.Manual{}
		if made%2 == 0 {
			id, m = light.ID, own
		}
		if _, err = store.TriggerOnce(t.Context(), id, m); err != nil {
			break
		}
		made++
	}
	if !errors.Is(err, domain.ErrBacklog) || made < 16<<20/262_144 || made > 16<<20/250_000+1 {
		t.Fatalf("%d runs are recorded, then: %v", made, err)
	}
	for what, ask := range map[string]func(*outbox.Store) error{
		"its own task": func(s *outbox.Store) error { _, err := s.TriggerOnce(t.Context(), light.ID, own); return err },
		"a large task": func(s *outbox.Store) error { _, err := s.Trigger(t.Context(), heavy.ID); return err },
		"a run again": func(s *outbox.Store) error {
			_, err := s.Rerun(t.Context(), heavy.ID, heavy.ID, heavy.Task(), "")
			return err
		},
	} {
		// another process; this one may take the sink for away by now
		if err := ask(outbox.NewStore(pool, "", handover.Limits{}.Check)); !errors.Is(err, domain.ErrBacklog) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := store.Trigger(t.Context(), light.ID); err != nil {
		t.Errorf("a small one: %v", err)
	}
	if err := store.Delete(t.Context(), light.ID, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Trigger(t.Context(), light.ID); !errors.Is(err, domain.ErrNotFound) {
		t.Errorf("one that is deleted: %v", err)
	}
	testenv.SinkTakes(t, pool, "celery")
	testenv.Eventually(t, "there is room again", func() error {
		_, err := store.Trigger(t.Context(), heavy.ID)
		return err
	})
}
