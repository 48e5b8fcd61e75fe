package servers

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// OwnDir creates a folder, with its parents, that belongs to this process's user and that no other user can read. It
// refuses a folder that another user may have prepared, because links in it could redirect what is written there. As
// root, the children, which run as another user, may pass through the folder to their own files.
func OwnDir(path string) error {
	if err := trustParents(path); err != nil {
		return notAllowed(path, err)
	}
	if err := os.MkdirAll(path, enter(0o700)); err != nil {
		return notAllowed(path, err)
	}
	if err := trustParents(path); err != nil { // what was not there yet
		return err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP) {
		return fmt.Errorf("%s is a link or not a folder: name the folder itself", path)
	}
	if err != nil {
		return notAllowed(path, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if owner := ownerOf(info); owner != os.Geteuid() && !wasGivenAway(path, owner) {
		return fmt.Errorf("%s belongs to another user (%d): choose a folder of your own", path, owner)
	}
	return errors.Join(f.Chown(os.Geteuid(), -1), f.Chmod(enter(0o700)))
}

// notAllowed says whose folder it is that this process may not use, and what to do.
func notAllowed(path string, err error) error {
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	whose := ""
	if info, err := os.Lstat(path); err == nil && ownerOf(info) != os.Geteuid() {
		whose = fmt.Sprintf(", which belongs to another user (%d)", ownerOf(info))
	}
	return fmt.Errorf("%s%s may not be used by this user (%d): choose a folder of your own: %w", path, whose,
		os.Geteuid(), err)
}

// enter lets children that run as another user pass through a folder.
func enter(mode fs.FileMode) fs.FileMode {
	if os.Geteuid() == 0 {
		return mode | 0o011
	}
	return mode
}

func ownerOf(info fs.FileInfo) int {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(stat.Uid)
	}
	return -1
}

// wasGivenAway reports whether root gave a folder to the children's user, as earlier versions did. Nobody but root can
// have put the folder where it is.
func wasGivenAway(path string, owner int) bool {
	parent, err := os.Lstat(filepath.Dir(path))
	if err != nil || ownerOf(parent) != os.Geteuid() || parent.Mode()&0o022 != 0 {
		return false
	}
	who, err := unprivileged()
	return err == nil && who != nil && owner == int(who.Uid)
}

// appendTo opens a file of ours, in a folder of ours, to append to it. It does not follow a link.
func appendTo(path string) (*os.File, error) {
	f, err := openOwn(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY)
	if err != nil {
		return nil, err
	}
	return f, f.Chmod(0o600)
}

// readOwn reads a file of ours. It does not follow a link.
func readOwn(path string) (string, error) {
	f, err := openOwn(path, os.O_RDONLY)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	return string(text), err
}

func openOwn(path string, how int) (*os.File, error) {
	f, err := os.OpenFile(path, how|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !info.Mode().IsRegular() || ok && (stat.Nlink != 1 || int(stat.Uid) != os.Geteuid()) {
		return nil, errors.Join(fmt.Errorf("other users may have access to %s: remove it", path), f.Close())
	}
	return f, nil
}

// WriteOwn writes a file that only this user can read. It replaces any file, link or folder entry of that name.
func WriteOwn(path, text string) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-") // readable by its owner alone
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return os.Rename(f.Name(), path)
}

// hand writes a file that only the children's user can read. It replaces whatever had the name.
func hand(path, text string) error {
	if err := WriteOwn(path, text); err != nil {
		return err
	}
	return give(path)
}

// give makes the children's user the owner of a file or folder.
func give(path string) error {
	who, err := unprivileged()
	if err != nil || who == nil {
		return err
	}
	return os.Lchown(path, int(who.Uid), int(who.Gid))
}
