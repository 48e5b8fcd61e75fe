package hostzones

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/tactus-dev/tactus/domain/zone"
)

// systems lists where systems keep their time zone data.
var systems = []string{"/usr/share/zoneinfo", "/usr/lib/zoneinfo", "/usr/share/lib/zoneinfo", "/etc/zoneinfo"}

// Found is time zone data of the machine, or the reason why it cannot be used.
type Found struct {
	Place, Version string
	Err            error
}

// All returns the data of the machine: what zoneinfo names (a folder or a zip file; nothing if empty), and the
// system's.
func All(zoneinfo string) []Found {
	var all []Found
	if zoneinfo != "" {
		release, err := Version(zoneinfo)
		if err != nil {
			err = fmt.Errorf("ZONEINFO: %w", err)
		}
		all = append(all, Found{zoneinfo, release, err})
	}
	for _, folder := range systems {
		release, err := Version(folder)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		return append(all, Found{folder, release, err})
	}
	return all
}

// Use makes this process use the newest data of the machine, if they are newer than the program's own. The error says
// why the data that zoneinfo names cannot be used.
func Use(zoneinfo string) (problem error) {
	for _, found := range All(zoneinfo) {
		if found.Err == nil && Newer(found.Version, zone.Version()) {
			data, err := Read(found.Place)
			if err == nil {
				zone.Use(data)
			}
			found.Err = err
		}
		if found.Place == zoneinfo && found.Err != nil {
			problem = found.Err
		}
	}
	return problem
}

// FromEnvironment calls Use with the environment variable ZONEINFO.
func FromEnvironment() error { return Use(os.Getenv("ZONEINFO")) }

// Newer reports whether a release (2026f) is newer than another; any release is newer than "". After z the letters
// double.
func Newer(a, b string) bool {
	year := func(release string) string { return release[:min(4, len(release))] }
	return cmp.Or(cmp.Compare(year(a), year(b)), cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) > 0
}
