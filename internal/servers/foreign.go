package servers

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Tests use programs of other suites of the distribution, for other versions of the servers. These may need a newer C
// library than the host's. So all their libraries are fetched too, and the programs are bound to them, to their loader
// and to the folders of the libraries. LD_LIBRARY_PATH would not do: PostgreSQL starts the host's shell, which would
// then load the other C library with the host's loader.

// turnTo makes apt use another suite of the mirror that the host's own sources name.
func (a *apt) turnTo(suite string, release []byte) error {
	codename := regexp.MustCompile(`(?m)^VERSION_CODENAME=(.+)$`).FindSubmatch(release)
	if codename == nil || !strings.Contains(string(release), "\nID=debian\n") {
		return errors.New("other suites are available on Debian only")
	}
	if err := a.update(); err != nil {
		return err
	}
	targets, err := a.run("apt-get", "indextargets", "--format", "$(RELEASE) $(COMPONENT) $(REPO_URI)",
		"Identifier: Packages")
	if err != nil {
		return err
	}
	for line := range strings.Lines(targets) {
		if mirror, ok := strings.CutPrefix(line, string(codename[1])+" main "); ok {
			source := fmt.Sprintf("deb %s %s main\n", strings.TrimSpace(mirror), suite)
			a.foreign = true
			return errors.Join(os.WriteFile(filepath.Join(a.work, "sources.list"), []byte(source), 0o644),
				os.WriteFile(filepath.Join(a.work, "status"), nil, 0o644))
		}
	}
	return fmt.Errorf("the sources of apt do not name a mirror of %s", codename[1])
}

// needed reports whether a package has a program or a library that the requested programs use. Other dependencies serve
// only their installation.
func needed(name string, asked []string) bool {
	for _, a := range asked {
		family, _, _ := strings.Cut(a, "-")
		if strings.HasPrefix(name, family) {
			return true
		}
	}
	return strings.HasPrefix(name, "lib") || strings.HasPrefix(name, "zlib")
}

// bindLibraries makes the programs under unpacked run with the loader and libraries there, once the folder is at root.
func bindLibraries(ctx context.Context, say func(string), unpacked, root string) error {
	loader, ok := newest(filepath.Join(unpacked, "lib/*-linux-gnu*/ld-linux-*.so.*"))
	if !ok {
		loader, ok = newest(filepath.Join(unpacked, "usr/lib/*-linux-gnu*/ld-linux-*.so.*"))
	}
	if !ok {
		return nil // data only
	}
	patcher, err := patchelfProgram.find(ctx, Config{Log: say})
	if err != nil {
		return err
	}
	inRoot := func(path string) string { return strings.ReplaceAll(path, unpacked, root) }
	for _, pattern := range []string{"bin/*", "usr/bin/*", "usr/sbin/*", "usr/lib/postgresql/*/bin/*"} {
		programs, _ := filepath.Glob(filepath.Join(unpacked, pattern)) // fails only for a malformed pattern
		for _, program := range programs {
			if !hasLoader(program) {
				continue
			}
			cmd := patcher.command(ctx, "--set-interpreter", inRoot(loader), "--force-rpath", "--set-rpath",
				inRoot(libraryPath(unpacked)), program)
			cmd.SysProcAttr = nil // the cache is ours, not the unprivileged user's
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("bind %s to its libraries: %w: %s", program, err, out)
			}
		}
	}
	return nil
}

// hasLoader reports whether a file is a dynamically linked program. It returns false for a link, whose target counts.
func hasLoader(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	f, err := elf.Open(path)
	if err != nil {
		return false // a script
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return true
		}
	}
	return false
}
