package servers

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// fetch unpacks Debian packages and their dependencies that are not installed into a folder of the cache, and returns
// the folder. It does so once and without root: apt works in private folders, and no package is configured. An empty
// suite is the host's own. The packages of another suite come with all their libraries, and run with these (see
// foreign.go).
func fetch(ctx context.Context, say func(string), suite string, packages []string) (string, error) {
	release, err := os.ReadFile("/etc/os-release")
	if err != nil || !bytes.Contains(release, []byte("debian")) {
		return "", errors.New("only Debian and Ubuntu packages can be fetched")
	}
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(release)
	root := filepath.Join(cache, fmt.Sprintf("%x-%s", sum[:4], runtime.GOARCH), suite, strings.Join(packages, "+"))
	unlock, err := lockFile(root + ".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(root); err == nil {
		return root, nil
	}
	say(fmt.Sprintf("fetching %s from %s into %s (once, without root)",
		strings.Join(packages, " "), cmp.Or(suite, "the distribution"), root))
	work, err := os.MkdirTemp(filepath.Dir(root), "fetch-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	a := apt{ctx: ctx, work: work}
	if suite != "" {
		if err := a.turnTo(suite, release); err != nil {
			return "", fmt.Errorf("use suite %s: %w", suite, err)
		}
	}
	if err := a.unpack(packages); err != nil {
		return "", err
	}
	if suite != "" {
		if err := bindLibraries(ctx, say, filepath.Join(work, "root"), root); err != nil {
			return "", err
		}
	}
	if err := os.Rename(filepath.Join(work, "root"), root); err != nil {
		return "", err
	}
	return root, nil
}

// apt runs apt in a private folder.
type apt struct {
	ctx     context.Context
	work    string
	foreign bool // with sources of its own, and with no package counted as installed
}

// update downloads the package lists.
func (a apt) update() error {
	for _, dir := range []string{"state/lists/partial", "cache/archives/partial", "deb", "root"} {
		if err := os.MkdirAll(filepath.Join(a.work, dir), 0o755); err != nil {
			return err
		}
	}
	_, err := a.run("apt-get", "update")
	return err
}

func (a apt) unpack(packages []string) error {
	if err := a.update(); err != nil {
		return err
	}
	closure, err := a.closure(packages)
	if err != nil {
		return err
	}
	if _, err := a.run("apt-get", append([]string{"download"}, closure...)...); err != nil {
		return err
	}
	debs, err := filepath.Glob(filepath.Join(a.work, "deb", "*.deb"))
	if err != nil || len(debs) == 0 {
		return fmt.Errorf("apt-get download has downloaded nothing: %w", err)
	}
	for _, deb := range debs {
		if _, err := a.run("dpkg-deb", "-x", deb, filepath.Join(a.work, "root")); err != nil {
			return err
		}
	}
	return nil
}

// closure returns the packages that apt would install. It also follows the dependencies of a package that is installed
// already, or that only selects a version (as postgresql does).
func (a apt) closure(packages []string) ([]string, error) {
	out, err := a.run("apt-get", append([]string{"install", "--simulate", "--no-install-recommends"}, packages...)...)
	if err != nil {
		return nil, err
	}
	wanted := map[string]bool{}
	for line := range strings.Lines(out) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == "Inst" &&
			(!a.foreign || needed(words[1], packages)) {
			wanted[words[1]] = true
		}
	}
	for _, name := range packages {
		wanted[name] = true
		out, err := a.run("apt-cache", "depends", "--important", name)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(out) {
			if words := strings.Fields(line); len(words) == 2 && words[0] == "Depends:" &&
				strings.HasPrefix(words[1], name+"-") {
				wanted[words[1]] = true
			}
		}
	}
	var names []string
	for name := range wanted {
		names = append(names, name)
	}
	return names, nil
}

func (a apt) run(name string, args ...string) (string, error) {
	if strings.HasPrefix(name, "apt") {
		args = append(a.options(), args...)
	}
	cmd := exec.CommandContext(a.ctx, name, args...)
	cmd.Dir = filepath.Join(a.work, "deb")
	cmd.Env = append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(problems.String()))
	}
	return out.String(), nil
}

func (a apt) options() []string {
	options := []string{
		"-q", "-o", "Dir::State=" + a.work + "/state", "-o", "Dir::Cache=" + a.work + "/cache",
		"-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User=",
	}
	if !a.foreign {
		return append(options, "-o", "Dir::State::status=/var/lib/dpkg/status")
	}
	return append(options, "-o", "Dir::State::status="+a.work+"/status",
		"-o", "Dir::Etc::sourcelist="+a.work+"/sources.list", "-o", "Dir::Etc::sourceparts=-")
}
