package archtest

import (
	"os/exec"
	"strings"
	"testing"
)

// unlinked are packages that the program does without, and why.
var unlinked = map[string]string{
	"github.com/ThreeDotsLabs/watermill-redisstream": "its wire format is three fields, which internal/redis writes; the tests hold them against it",
	"github.com/vmihailenco/msgpack":                 "it is unmaintained in this version, and all that is needed is a map of strings",
	"github.com/Rican7/retry":                        "only watermill-redisstream needs it",
	"testing":                                        "what tests need is not in the program",
	module + "/internal/testenv":                     "what tests need is not in the program",
	module + "/internal/processes":                   "what tests need is not in the program",
}

// TestProgramIsWithout holds that what only tests need is not linked into the program.
func TestProgramIsWithout(t *testing.T) {
	linked := dependencies(t, "./cmd/tactus")
	if !linked["github.com/redis/go-redis/v9"] {
		t.Fatal("not even go-redis is listed: the list is not that of the program")
	}
	for path := range linked {
		for without, reason := range unlinked {
			if under(path, without) {
				t.Errorf("the program links %s: %s", path, reason)
			}
		}
	}
}

// TestServicesAreWithoutTheAPI holds that a service that writes schedules, and its tests, need nothing of what serves
// the API: go mod tidy writes what the tests of imported packages need into the service's go.sum.
func TestServicesAreWithoutTheAPI(t *testing.T) {
	needed := dependencies(t, "-test", "./domain/...", "./outbox/...", "./migrations/...", "./internal/testenv/...", "./internal/claims/...",
		"./internal/detached/...", "./internal/postgres/...", "./internal/sqlexpr/...")
	if !needed["github.com/jackc/pgx/v5"] {
		t.Fatal("not even pgx is listed: the list is not that of the services")
	}
	for path := range needed {
		for _, without := range []string{module + "/internal/access", module + "/internal/api", "github.com/coreos/go-oidc", "github.com/danielgtaylor/huma", "go.opentelemetry.io"} {
			if under(path, without) {
				t.Errorf("what services import needs %s, or its tests do: only who serves the API knows who calls", path)
			}
		}
	}
}

// dependencies are the import paths of everything that is linked into programs.
func dependencies(t *testing.T, programs ...string) map[string]bool {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-deps"}, programs...)...)
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	all := map[string]bool{}
	for path := range strings.Lines(string(out)) {
		all[strings.TrimSpace(path)] = true
	}
	return all
}
