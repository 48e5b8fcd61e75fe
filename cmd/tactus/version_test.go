package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestVersionTellsTheBuild(t *testing.T) {
	t.Parallel()
	settings := func(pairs ...string) (all []debug.BuildSetting) {
		for i := 0; i < len(pairs); i += 2 {
			all = append(all, debug.BuildSetting{Key: pairs[i], Value: pairs[i+1]})
		}
		return all
	}
	for want, info := range map[string]debug.BuildInfo{
		"v1.2.3 (commit 0123456789ab, go1.26.0, linux/arm64)": {
			GoVersion: "go1.26.0", Main: debug.Module{Version: "v1.2.3"},
			Settings: settings("GOOS", "linux", "GOARCH", "arm64", "vcs.revision", "0123456789abcdef", "vcs.modified",
				"false"),
		},
		"v1.2.3+dirty (commit 0123456789ab with changes, go1.26.0, linux/arm64)": {
			GoVersion: "go1.26.0", Main: debug.Module{Version: "v1.2.3+dirty"},
			Settings: settings("GOOS", "linux", "GOARCH", "arm64", "vcs.revision", "0123456789abcdef", "vcs.modified",
				"true"),
		},
		"(devel) (commit unknown, go1.26.0, darwin/amd64)": {
			GoVersion: "go1.26.0", Main: debug.Module{Version: "(devel)"},
			Settings: settings("GOOS", "darwin", "GOARCH", "amd64"),
		},
	} {
		if got := buildOf(&info); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	got := tactus(t, "--version")
	if !strings.Contains(got.out, runtime.Version()) || !strings.Contains(got.out, zones()) || got.code != exitOK {
		t.Errorf("--version: %+v", got)
	}
}

// TestReleaseIsReproducible makes a release of one commit in two folders, which gives the same bytes.
func TestReleaseIsReproducible(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat(filepath.Join(repository, ".git")); errors.Is(err, os.ErrNotExist) {
		t.Skip("not a Git checkout: its files cannot be told from others")
	}
	commit := commitSources(t)
	one, other := release(t, commit), release(t, commit)
	if diff := cmp.Diff(one, other); diff != "" {
		t.Error(diff)
	}
	if len(one) != 2 {
		t.Errorf("a release for one platform is %d files", len(one))
	}
	checksum := regexp.MustCompile(`^[0-9a-f]{64}  tactus-v\S+-` + runtime.GOOS + `-` + runtime.GOARCH + "\n$")
	if !checksum.MatchString(one["SHA256SUMS"]) {
		t.Errorf("SHA256SUMS: %q", one["SHA256SUMS"])
	}
}

// copySources copies the files that Git tracks, or would track, into a folder.
const copySources = `git ls-files -co --exclude-standard | while read -r f; do test ! -e "$f" || echo "$f"; done | tar -cf - -T - | tar -xf - -C `

// commitSources returns a repository with a single commit of these sources.
func commitSources(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	shell(t, repository, copySources+dir)
	shell(t, dir, `git init -q; git add -A; git -c user.name=t -c user.email=t@example.org commit -qm release --date 2026-01-01T00:00:00Z`)
	return dir
}

// release makes a release of a commit, for this machine only, in a folder of its own. It returns the checksums of the
// files, and what the program says about itself.
func release(t *testing.T, commit string) map[string]string {
	t.Helper()
	dir := t.TempDir()
	shell(t, dir, "git clone -q "+commit+" .")
	shell(t, dir, "make release PLATFORMS="+runtime.GOOS+"/"+runtime.GOARCH)
	files := map[string]string{}
	paths, err := filepath.Glob(filepath.Join(dir, "dist", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		if filepath.Base(path) == "SHA256SUMS" {
			files["SHA256SUMS"] = shell(t, filepath.Dir(path), "sha256sum --quiet -c SHA256SUMS; cat SHA256SUMS")
			continue
		}
		said := shell(t, dir, path+" --version")
		if want := "(commit " + shell(t, dir, "git rev-parse --short=12 HEAD | tr -d '\\n'") +
			", go"; !strings.Contains(said, want) {
			t.Errorf("%s says %q, want %s", path, said, want)
		}
		files[filepath.Base(path)] = said
	}
	return files
}

// shell runs a line in a folder and returns what it prints.
func shell(t *testing.T, dir, line string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-euc", line)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GIT_COMMITTER_DATE=2026-01-01T00:00:00Z", "MAKEFLAGS=")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}
