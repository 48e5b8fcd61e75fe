package servers

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// fitData reports whether there are data, and takes a program that reads them: each major version of PostgreSQL has a
// format of its own, and several versions may be installed.
func (p *Postgres) fitData(ctx context.Context) (there bool, err error) {
	text, err := os.ReadFile(filepath.Join(p.data(), "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look at the data of PostgreSQL: %w", err)
	}
	of := strings.TrimSpace(string(text))
	has, err := p.binary.major(ctx)
	if err != nil || has == of {
		return true, err
	}
	for _, pattern := range postgresProgram.patterns {
		if path, found := newest(strings.Replace(pattern, "*", of, 1)); found {
			p.binary = binary{path: path}
			return true, nil
		}
	}
	return true, fmt.Errorf("%s has data of PostgreSQL %s, and this machine has PostgreSQL %s (%s): "+
		"install PostgreSQL %[2]s, choose another folder by TACTUS_STATE_DIR, or delete %[1]s if you do not need the data",
		p.cfg.Dir, of, has, p.binary.path)
}

var majorVersion = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

// major returns the major version of a postgres program.
func (b binary) major(ctx context.Context) (string, error) {
	out, err := b.command(ctx, "--version").Output()
	found := majorVersion.FindSubmatch(out)
	if err != nil || found == nil {
		return "", fmt.Errorf("ask %s for its version: %q, %w", b.path, out, err)
	}
	return string(found[1]), nil
}
