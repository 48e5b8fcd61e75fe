package results

import (
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestSweepReadsWhatSomethingCanBecomeOf has runs that cannot have left a result, and of which nothing can be concluded
// yet: neither is read, and without a result backend only what can be concluded about.
func TestSweepReadsWhatSomethingCanBecomeOf(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	schedule := s.schedule(t, domain.Definition{})
	s.run(t, schedule, domain.Due, time.Hour)
	sent := s.run(t, schedule, domain.Sent, time.Hour)
	started := s.run(t, schedule, domain.Started, time.Hour)
	expired := s.run(t, schedule, domain.Due, time.Hour)
	s.exec(t, `update tactus.runs set expires_at = now() - interval '1 minute' where id = $1`, expired)
	silent := s.run(t, schedule, domain.Due, 25*time.Hour)
	for name, c := range map[string]struct {
		backend redis.UniversalClient
		want    []domain.ID
	}{
		"with a backend":    {testenv.Redis(t), []domain.ID{sent, started, expired, silent}},
		"without a backend": {nil, []domain.ID{expired, silent}},
	} {
		runs, err := s.collector(t, c.backend, nil, Config{}).page(t.Context(), 0, ever, openRun{})
		if err != nil {
			t.Fatal(err)
		}
		if len(runs) != len(c.want) {
			t.Errorf("%s: %d runs are read, want %d", name, len(runs), len(c.want))
		}
		for _, r := range runs {
			if !slices.Contains(c.want, r.ID) {
				t.Errorf("%s: %+v is read", name, r)
			}
		}
	}
}
