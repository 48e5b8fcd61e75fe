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

// OwnDir makes a folder that belongs to whoever started this process, with its parents, and refuses one that others could
// have prepared: they would lead what is written there elsewhere by links. Nobody else may look into the folder. As root,
// the children, which are another user, may pass through it to what is theirs.
func OwnDir(path string) error {
	if err := os.MkdirAll(path, enter(0o700)); err != nil {
		return err
	}
	if err := trustParents(path); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP) {
		return fmt.Errorf("%s is a link or no folder: name the folder itself", path)
	}
	if err != nil {
		return err
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

// enter lets children that are another user pass through a folder.
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

// wasGivenAway reports whether root gave a folder to the children's user, as earlier versions did: only root can have put
// it where it is.
func wasGivenAway(path string, owner int) bool {
	parent, err := os.Lstat(filepath.Dir(path))
	if err != nil || ownerOf(parent) != os.Geteuid() || parent.Mode()&0o022 != 0 {
		return false
	}
	who, err := unprivileged()
	return err == nil && who != nil && owner == int(who.Uid)
}

// trustParents refuses a folder that another user could exchange for one of theirs.
func trustParents(path string) error {
	parent, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return err
	}
	for ; parent != filepath.Dir(parent); parent = filepath.Dir(parent) {
		info, err := os.Lstat(parent)
		if err != nil {
			return err
		}
		owner := ownerOf(info)
		foreign := os.Geteuid() == 0 && owner != 0
		open := info.Mode()&0o002 != 0 && info.Mode()&fs.ModeSticky == 0
		if foreign || open {
			return fmt.Errorf("%s is in %s, where another user can put something else in its place: choose another folder", path, parent)
		}
	}
	return nil
}

// appendTo opens a file of ours, in a folder of ours, for more to be written to it. A link is not followed.
func appendTo(path string) (*os.File, error) {
	f, err := openOwn(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY)
	if err != nil {
		return nil, err
	}
	return f, f.Chmod(0o600)
}

// readOwn reads a file of ours. A link is not followed.
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
		return nil, errors.Join(fmt.Errorf("%s is not a file of ours alone: remove it", path), f.Close())
	}
	return f, nil
}

// WriteOwn writes a file that only this user can read, in place of whatever had its name.
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

// hand writes a file that only the children's user can read, in place of whatever had its name.
func hand(path, text string) error {
	if err := WriteOwn(path, text); err != nil {
		return err
	}
	return give(path)
}

// give makes a file or a folder that of the children's user.
func give(path string) error {
	who, err := unprivileged()
	if err != nil || who == nil {
		return err
	}
	return os.Lchown(path, int(who.Uid), int(who.Gid))
}
