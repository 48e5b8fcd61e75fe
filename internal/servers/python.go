package servers

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Python is a Python 3 that can import the requested modules.
type Python struct {
	binary  binary
	modules string // the folder of the unpacked modules; empty when they are installed
}

// FindPython returns an installed Python that can import the modules, or unpacks the distribution's packages of the
// modules into the cache.
func FindPython(ctx context.Context, cfg Config, modules []string, packages ...string) (Python, error) {
	if !cfg.IgnoreInstalled {
		for _, name := range []string{"python3", "/usr/bin/python3"} {
			if p, ok := installedPython(ctx, name, modules); ok {
				return p, nil
			}
		}
	}
	root, err := fetch(ctx, cfg.say, "", packages)
	if err != nil {
		return Python{}, fmt.Errorf("find a Python with %s: it is not installed, and could not be fetched (%w): apt-get install %s, or the same by pip",
			strings.Join(modules, " and "), err, strings.Join(packages, " "))
	}
	p := Python{binary{path: "/usr/bin/python3", root: root}, filepath.Join(root, "usr/lib/python3/dist-packages")}
	if fetched := filepath.Join(root, "usr/bin/python3"); isFile(fetched) {
		p.binary.path = fetched // the machine has no Python: it was unpacked with the modules
	}
	return p, p.compile(ctx)
}

func installedPython(ctx context.Context, name string, modules []string) (Python, bool) {
	path, err := exec.LookPath(name)
	if err != nil {
		return Python{}, false
	}
	p := Python{binary: binary{path: path}}
	return p, p.Command(ctx, "-c", "import "+strings.Join(modules, ", ")).Run() == nil
}

func isFile(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// compile writes the byte code of the modules once, as an installation would. The user who runs them must not write
// there, and Python would compile everything again at each start.
func (p Python) compile(ctx context.Context) error {
	done := filepath.Join(p.modules, ".compiled")
	if isFile(done) {
		return nil
	}
	cmd := p.Command(ctx, "-m", "compileall", "-q", p.modules)
	cmd.SysProcAttr = nil // the cache is ours, not the unprivileged user's
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("compile %s: %w: %s", p.modules, err, bytes.TrimSpace(out))
	}
	return os.WriteFile(done, nil, 0o644)
}

// Command returns a command that runs Python with the modules, for instance to compare their code with ours.
func (p Python) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := p.binary.command(ctx, args...)
	if p.modules != "" {
		cmd.Env = append(cmd.Env, "PYTHONPATH="+p.modules)
	}
	return cmd
}
