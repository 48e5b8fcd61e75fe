package servers

import (
	"context"
	"os"
	"strings"
)

// Unpack returns the folder into which packages of a Debian suite are unpacked, once.
func Unpack(ctx context.Context, say func(string), suite string, packages ...string) (string, error) {
	return fetch(ctx, say, suite, packages)
}

// Offered returns the newest version of a package in a Debian suite that the mirror has now.
func Offered(ctx context.Context, suite, name string) (string, error) {
	release, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return "", err
	}
	work, err := os.MkdirTemp("", "offered-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	a := apt{ctx: ctx, work: work}
	if err := a.turnTo(suite, release); err != nil {
		return "", err
	}
	if err := a.update(); err != nil {
		return "", err
	}
	shown, err := a.run("apt-cache", "show", "--no-all-versions", name)
	for line := range strings.Lines(shown) {
		if version, ok := strings.CutPrefix(line, "Version: "); ok {
			return strings.TrimSpace(version), nil
		}
	}
	return "", err
}
