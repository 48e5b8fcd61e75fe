package servers

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// unprivileged returns the user that children run as: nil for this process's own, another user when that is root.
func unprivileged() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errU := strconv.ParseUint(u.Uid, 10, 32)
		gid, errG := strconv.ParseUint(u.Gid, 10, 32)
		if errU == nil && errG == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
		}
	}
	return nil, fmt.Errorf("PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody: run as another user")
}

// StateDir returns the folder for a server's lasting data: in the user's state folder, or for root in a system folder,
// because other users cannot enter root's home.
func StateDir() (string, error) {
	if os.Getuid() == 0 {
		return "/var/lib/tactus", nil
	}
	if dir := os.Getenv("XDG_STATE_HOME"); dir != "" {
		return filepath.Join(dir, "tactus"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find the state folder: %w (or name one with --state-dir)", err)
	}
	return filepath.Join(home, ".local", "state", "tactus"), nil
}

// cacheDir returns the folder where downloaded programs are kept.
func cacheDir() (string, error) {
	if os.Getuid() == 0 {
		return "/var/cache/tactus", nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache folder: %w", err)
	}
	return filepath.Join(dir, "tactus"), nil
}
