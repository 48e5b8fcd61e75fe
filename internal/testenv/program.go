package testenv

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// built are the tactus binaries of this process, by their build tags.
var built struct {
	sync.Mutex
	paths map[string]string
}

// Binary builds the tactus binary with these build tags (comma-separated, or none), once in a test process. The one
// without tags is taken from TACTUS_TEST_PROGRAM when that names it: "make test" builds it once for all packages.
func Binary(t testing.TB, tags string) string {
	t.Helper()
	built.Lock()
	defer built.Unlock()
	if path, ok := built.paths[tags]; ok {
		return path
	}
	path, err := build(tags)
	if err != nil {
		t.Fatalf("build tactus: %v", err)
	}
	if built.paths == nil {
		built.paths = map[string]string{}
	}
	built.paths[tags] = path
	return path
}

func build(tags string) (string, error) {
	if path := os.Getenv("TACTUS_TEST_PROGRAM"); path != "" && tags == "" {
		_, err := os.Stat(path) // so that go test runs again what it has in its cache, when the program is another
		return path, err
	}
	dir, err := programDir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "tactus")
	cmd := exec.Command("go", "build", "-trimpath", "-tags", tags, "-o", path,
		"github.com/tactus-dev/tactus/cmd/tactus")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as "make build" does, whose cache this shares
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
}
