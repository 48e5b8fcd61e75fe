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

// dependencies are the import paths of everything that is linked into a program.
func dependencies(t *testing.T, program string) map[string]bool {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", program)
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
