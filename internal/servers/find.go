package servers

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// binary is a program, with the folders of its libraries if it comes from the cache.
type binary struct {
	path string
	root string   // the folder of the unpacked packages; empty for an installed program
	env  []string // additional environment, where other users cannot see a secret
}

func (b binary) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, b.path, args...)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC")
	if b.root != "" {
		cmd.Env = append(cmd.Env, "LD_LIBRARY_PATH="+libraryPath(b.root))
	}
	cmd.Env = append(cmd.Env, b.env...)
	if who, err := unprivileged(); err == nil && who != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: who}
	}
	return cmd
}

// sibling returns another program of the same package.
func (b binary) sibling(name string) binary {
	return binary{path: filepath.Join(filepath.Dir(b.path), name), root: b.root, env: b.env}
}

// libraryPath returns the folders of libraries under root. One of the libraries of Chromium has a folder of its own,
// which its package names by a path that holds only where the package is installed.
func libraryPath(root string) string {
	var dirs []string
	for _, pattern := range []string{"usr/lib/*-linux-gnu*", "lib/*-linux-gnu*", "usr/lib/*-linux-gnu*/pulseaudio"} {
		found, _ := filepath.Glob(filepath.Join(root, pattern)) // fails only for a malformed pattern
		dirs = append(dirs, found...)
	}
	return strings.Join(dirs, string(os.PathListSeparator))
}

// program says how to find a program: by name on PATH, by patterns elsewhere, and else in packages.
type program struct {
	name     string
	patterns []string
	packages []string
	install  string
}

var (
	postgresProgram = program{
		"postgres",
		[]string{"/usr/lib/postgresql/*/bin/postgres", "/usr/pgsql-*/bin/postgres", "/opt/homebrew/opt/postgresql@*/bin/postgres", "/usr/local/opt/postgresql@*/bin/postgres"},
		[]string{"postgresql"},
		"apt-get install postgresql, or brew install postgresql@17",
	}
	redisProgram = program{
		"redis-server",
		[]string{"/usr/bin/redis-server", "/opt/homebrew/bin/redis-server", "/usr/local/bin/redis-server"},
		[]string{"redis-server"},
		"apt-get install redis-server, or brew install redis",
	}
	valkeyProgram = program{
		"valkey-server",
		[]string{"/usr/bin/valkey-server", "/opt/homebrew/bin/valkey-server", "/usr/local/bin/valkey-server"},
		[]string{"valkey-server"},
		"apt-get install valkey-server, or brew install valkey",
	}
	patchelfProgram = program{"patchelf", []string{"/usr/bin/patchelf"}, []string{"patchelf"}, "apt-get install patchelf"}

	prometheusProgram = program{
		"prometheus",
		[]string{"/usr/bin/prometheus", "/opt/homebrew/bin/prometheus", "/usr/local/bin/prometheus"},
		[]string{"prometheus"},
		"apt-get install prometheus, or brew install prometheus",
	}

	pgBouncerProgram = program{
		"pgbouncer",
		[]string{"/usr/sbin/pgbouncer", "/opt/homebrew/bin/pgbouncer"},
		[]string{"pgbouncer"},
		"apt-get install pgbouncer, or brew install pgbouncer",
	}
)

// find returns an installed program, or one from the cache, which it fills if necessary.
func (p program) find(ctx context.Context, cfg Config) (binary, error) {
	if !cfg.IgnoreInstalled && cfg.Suite == "" {
		if path, ok := p.installed(); ok {
			return binary{path: path}, nil
		}
	}
	root, err := fetch(ctx, cfg.say, cfg.Suite, p.packages)
	if err != nil && cfg.Suite != "" {
		return binary{}, fmt.Errorf("fetch %s of %s: %w", p.name, cfg.Suite, err)
	}
	if err != nil {
		return binary{}, fmt.Errorf("%s is not installed, and could not be fetched (%w): %s; or set DATABASE_URL and REDIS_URL to servers that run", p.name, err, p.install)
	}
	for _, pattern := range p.patterns {
		if path, ok := newest(filepath.Join(root, pattern)); ok && cfg.Suite != "" {
			return binary{path: path}, nil
		} else if ok {
			return binary{path: path, root: root}, nil
		}
	}
	return binary{}, fmt.Errorf("%s is not in the packages %v: %s", p.name, p.packages, p.install)
}

// installed returns the real path of a program and not a link on PATH, because PostgreSQL finds its files relative to
// it.
func (p program) installed() (string, bool) {
	if path, err := exec.LookPath(p.name); err == nil {
		if real, err := filepath.EvalSymlinks(path); err == nil && filepath.Base(real) == p.name {
			return real, true
		}
		return path, true
	}
	for _, pattern := range p.patterns {
		if path, ok := newest(pattern); ok {
			return path, true
		}
	}
	return "", false
}

// newest returns the last match in the order of versions, which for the existing versions is the order of text.
func newest(pattern string) (string, bool) {
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) == 0 {
		return "", false
	}
	return slices.Max(found), true
}
