package tools

import (
	"bytes"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
)

const top = "../.." // the build context of the image

// program returns the program, built as the Dockerfile builds it.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "tactus-image-")
	if err != nil {
		return "", err
	}
	built := filepath.Join(dir, "tactus")
	steps, err := dockerfile("../Dockerfile")
	if err != nil {
		return "", err
	}
	for _, s := range steps {
		if s.name == "RUN" && strings.Contains(s.rest, "go build") {
			cmd := exec.Command("sh", "-c", strings.Replace(s.rest, "/out/tactus", built, 1))
			cmd.Dir, cmd.Stderr = top, os.Stderr
			return built, cmd.Run()
		}
	}
	return "", os.ErrNotExist
})

func TestMain(m *testing.M) {
	code := m.Run()
	if built, err := program(); err == nil {
		_ = os.RemoveAll(filepath.Dir(built)) // a temporary folder
	}
	os.Exit(code)
}

func tactus(t *testing.T, args ...string) string {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatalf("build the program as the Dockerfile does: %v", err)
	}
	cmd := exec.Command(path, args...)
	cmd.Env = []string{} // an empty image has none
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("tactus %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// understood returns the environment variables that a subcommand's help names.
func understood(t *testing.T, subcommand string) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, found := range regexp.MustCompile(`\(\$([A-Z_]+)\)`).FindAllStringSubmatch(strings.Join(strings.Fields(tactus(t, subcommand, "--help")), " "), -1) {
		names[found[1]] = true
	}
	return names
}

// TestProgramNeedsNothing checks that the program runs in an image that contains nothing else.
func TestProgramNeedsNothing(t *testing.T) {
	if got := tactus(t, "schedule", "preview", "0 9 * * *", "--tz", "Asia/Tokyo", "--after", "2026-01-01T00:00:00Z", "-n", "1"); !strings.Contains(got, "2026-01-02T09:00:00+09:00") {
		t.Errorf("a due time in Tokyo, without zone data on the machine: %s", got)
	}
	if runtime.GOOS != "linux" {
		return // on this system the build differs from the image's
	}
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if libraries, err := f.ImportedLibraries(); err != nil || len(libraries) > 0 {
		t.Errorf("the program needs libraries: %v, %v", libraries, err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if where, err := filepath.Abs(top); err != nil || bytes.Contains(text, []byte(where+"/cmd")) {
		t.Errorf("the program contains the path of its build folder (%v)", err)
	}
	if mib := len(text) >> 20; mib > 46 { // of which OpenTelemetry takes five
		t.Errorf("the image has %d MiB, which is too large", mib)
	}
}
