package servers

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// A folder is as safe as all that leads to it: whoever may rename an entry of a folder on the way, or owns a link on
// the way, can put another folder in its place at any later time.

// mostLinks is how many links may be on the way, as for the kernel.
const mostLinks = 40

// trustParents refuses a path on which another user could put something else in the place of a folder or a link. What
// is not there yet is not looked at.
func trustParents(path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	at, rest := "/", names(filepath.Dir(path))
	for links := 0; len(rest) > 0; {
		next := filepath.Join(at, rest[0])
		rest = rest[1:]
		info, err := os.Lstat(next)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if reason := replaceable(info); reason != "" {
			return fmt.Errorf("%s leads through %s, %s: another user can put something else in its place: choose another folder",
				path, next, reason)
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			at = next
			continue
		}
		if links++; links > mostLinks {
			return fmt.Errorf("%s leads through too many links", path)
		}
		target, err := os.Readlink(next)
		if err != nil {
			return err
		}
		if filepath.IsAbs(target) {
			at = "/"
		}
		// ".." in a target is relative to where the link is, whose own parents have been looked at
		rest = append(names(target), rest...)
	}
	return nil
}

// names parts a path into its names.
func names(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == filepath.Separator })
}

// replaceable says why another user could replace a folder's entries, or a link.
func replaceable(info fs.FileInfo) string {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	if owner := int(stat.Uid); owner != 0 && owner != os.Geteuid() {
		return fmt.Sprintf("which belongs to another user (%d)", owner)
	}
	mode := info.Mode()
	switch open := mode&fs.ModeSymlink == 0 && mode&fs.ModeSticky == 0; {
	case open && mode&0o002 != 0:
		return "where everybody may write"
	case open && mode&0o020 != 0 && !ownGroup(int(stat.Gid)):
		return fmt.Sprintf("where the group %d may write", stat.Gid)
	}
	return ""
}

// ownGroup reports whether a group is the one that many systems make for each user, which has the user's name.
func ownGroup(gid int) bool {
	if gid != os.Getegid() {
		return false
	}
	who, err := user.Current()
	if err != nil {
		return false
	}
	group, err := user.LookupGroupId(strconv.Itoa(gid))
	return err == nil && group.Name == who.Username
}
