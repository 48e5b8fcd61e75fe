package main

import (
	"os"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/domain/zone"
	"github.com/tactus-dev/tactus/internal/hostzones"
	"github.com/tactus-dev/tactus/internal/servers"
)

// TestEmbeddedDataIsTheNewest compares the program's data with those of the machine and of Debian's stable suite, which
// gets each release as an update. If no mirror answers, it compares with the machine's only.
func TestEmbeddedDataIsTheNewest(t *testing.T) {
	t.Parallel()
	for _, found := range hostzones.All(os.Getenv("ZONEINFO")) {
		if hostzones.Newer(found.Version, zone.EmbeddedVersion()) {
			t.Errorf("%s has %s, and the program %s: make zones", found.Place, found.Version, zone.EmbeddedVersion())
		}
	}
	offered, err := servers.Offered(t.Context(), suites[0], "tzdata")
	if err != nil {
		t.Skipf("the mirror was not asked: %v", err)
	}
	release, _, _ := strings.Cut(offered, "-")
	if release == "" || hostzones.Newer(release, zone.EmbeddedVersion()) {
		t.Errorf("%s of Debian has %q, and the program %s: make zones", suites[0], offered, zone.EmbeddedVersion())
	}
}
