// Package hostzones reads the time zone data of the machine: those that ZONEINFO names, and the system's. When a
// process starts, it gives the newest to domain/zone, which itself never reads from the machine.
package hostzones

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/tactus-dev/tactus/domain/zone"
)

// Read reads all data of a folder such as /usr/share/zoneinfo, or of a zip file of one, into memory: so an update of
// the system changes nothing in a running process.
func Read(path string) (data zone.Data, err error) {
	err = within(path, func(from fs.FS) error {
		data, err = read(path, from)
		return err
	})
	return data, err
}

// Version returns the release of such data.
func Version(path string) (release string, err error) {
	err = within(path, func(from fs.FS) error {
		if release = version(from); release == "" {
			return fmt.Errorf("%s has neither tzdata.zi nor +VERSION, so its release is unknown", path)
		}
		return nil
	})
	return release, err
}

func within(path string, do func(fs.FS) error) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return do(os.DirFS(path))
	}
	archive, err := zip.OpenReader(path)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	defer archive.Close()
	return do(archive)
}

func read(path string, from fs.FS) (zone.Data, error) {
	data := zone.Data{Version: version(from), Place: path, Files: map[string][]byte{}}
	err := fs.WalkDir(from, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (name == "posix" || name == "right"):
			return fs.SkipDir // the same zones again, and those with leap seconds
		case entry.IsDir() || name == "localtime" || name == "posixrules":
			return nil
		}
		text, err := fs.ReadFile(from, name)
		if err == nil && bytes.HasPrefix(text, []byte("TZif")) {
			data.Files[name] = text
		}
		return err
	})
	if err == nil && len(data.Files) < leastZones {
		err = fmt.Errorf("%s has %d zones only", path, len(data.Files))
	}
	return data, err
}

// leastZones is fewer than any release has, even without its backward names.
const leastZones = 300

// version reads the release, from the file that most distributions put beside the zones or from that of BSD and macOS.
func version(from fs.FS) string {
	if text, err := fs.ReadFile(from, "+VERSION"); err == nil {
		return strings.TrimSpace(string(text))
	}
	text, _ := fs.ReadFile(from, "tzdata.zi") // empty when there is none
	first, _, _ := strings.Cut(string(text), "\n")
	release, _ := strings.CutPrefix(first, "# version ")
	if release == first {
		return ""
	}
	return strings.TrimSpace(release)
}
