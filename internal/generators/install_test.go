//go:build !generated

package generators

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

var installing sync.Mutex

// install installs the programs into a folder, unless they are there. A folder takes its name when it is whole.
func install(t *testing.T, folder string) string {
	t.Helper()
	installing.Lock()
	defer installing.Unlock()
	if _, err := os.Stat(folder); err == nil {
		return folder
	}
	if err := os.MkdirAll(filepath.Dir(folder), 0o755); err != nil {
		t.Fatal(err)
	}
	made, err := os.MkdirTemp(filepath.Dir(folder), "npm-*")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(made)
	for _, name := range []string{"package.json", "package-lock.json"} {
		text, err := os.ReadFile(filepath.Join("typescript", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(made, name), text, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("npm", "ci", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = made
	execute(t, cmd)
	if err := os.Rename(made, folder); err != nil {
		if _, there := os.Stat(folder); there != nil { // another process was faster
			t.Fatal(err)
		}
	}
	return folder
}
