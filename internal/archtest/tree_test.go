package archtest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

var rooms = []string{"beat", "clients", "cmd", "deployments", "docs", "domain", "examples", "internal", "migrations", "outbox", "relay"}

// private are paths of somebody's machine, put together so that this file does not hold them itself.
var private = []string{"/" + "root/", "/" + "work/main", "/" + "work/shared", "/" + "home/"}

func TestRooms(t *testing.T) {
	for _, file := range files(t) {
		top, _, nested := strings.Cut(file, "/")
		if nested && !strings.HasPrefix(top, ".") && !slices.Contains(rooms, top) {
			t.Errorf("%s: there is no room %q; the rooms are %v", file, top, rooms)
		}
	}
}

func TestNoPrivatePaths(t *testing.T) {
	for _, file := range files(t) {
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			continue // removed since it was listed
		}
		for _, path := range private {
			if !bytes.ContainsRune(text, 0) && bytes.Contains(text, []byte(path)) {
				t.Errorf("%s names %s, which only exists on one machine", file, path)
			}
		}
	}
}

// files are those that git knows or would add.
func files(t *testing.T) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git ls-files: %v", err)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
}
