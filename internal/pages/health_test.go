package pages

import (
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/internal/catalog"
)

// TestHealthDoesNotContradictItself looks at parts beside a beat in shadow mode, and beside a sink to which this
// process cannot deliver.
func TestHealthDoesNotContradictItself(t *testing.T) {
	t.Parallel()
	now := time.Now()
	lease := func(name, holder string, lasts time.Duration) catalog.Lease {
		return catalog.Lease{Name: name, Holder: holder, ExpiresAt: now.Add(lasts), Watermark: &now}
	}
	v := &view{}
	for _, c := range []struct {
		leases []catalog.Lease
		says   string
		class  string
	}{
		{nil, "no beat has been here yet", "trouble"},
		{[]catalog.Lease{lease("shadow", "s", time.Minute)}, "s is in shadow mode", ""},
		{[]catalog.Lease{lease("beat", "b", -time.Minute), lease("shadow", "s", time.Minute)}, "s is in shadow mode", ""},
		{[]catalog.Lease{lease("beat", "b", time.Minute), lease("shadow", "s", time.Minute)}, "b leads", ""},
		{[]catalog.Lease{lease("beat", "b", -time.Minute), lease("shadow", "s", -time.Minute)}, "no beat holds the lease", "trouble"},
	} {
		if got := v.beatPart(catalog.Parts{Now: now, Leases: c.leases}); !strings.Contains(got.Says, c.says) || got.Class != c.class {
			t.Errorf("%+v: %+v, want %q", c.leases, got, c.says)
		}
	}
	parts := catalog.Parts{Now: now, Sinks: []catalog.Sink{{Name: "celery", CutAt: &now}, {Name: "events", CutAt: &now}}}
	if got := v.sinkParts(parts, "events: no answer"); len(got) != 1 || got[0].Name != "celery" {
		t.Errorf("beside a sink that is not served: %+v", got)
	}
	if got := v.sinkParts(parts, ""); len(got) != 2 {
		t.Errorf("when all are served: %+v", got)
	}
}
