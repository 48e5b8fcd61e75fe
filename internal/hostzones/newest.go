package hostzones

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/tactus-dev/tactus/domain/zone"
)

// systems are where systems keep their data.
var systems = []string{"/usr/share/zoneinfo", "/usr/lib/zoneinfo", "/usr/share/lib/zoneinfo", "/etc/zoneinfo"}

// Found is data of the machine, or why it cannot be used.
type Found struct {
	Place, Version string
	Err            error
}

// All are the data of the machine: what zoneinfo names, a folder or a zip file, unless it is empty, and what the system has.
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

// Use has this process go by data of the machine that is newer than that of the program, by the newest if there are
// several. The error says why what zoneinfo names is not considered.
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

// FromEnvironment is Use with the ZONEINFO of the environment.
func FromEnvironment() error { return Use(os.Getenv("ZONEINFO")) }

// Newer reports whether a release (2026f) came after another, or after none. Beyond z the letters double.
func Newer(a, b string) bool {
	year := func(release string) string { return release[:min(4, len(release))] }
	return cmp.Or(cmp.Compare(year(a), year(b)), cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) > 0
}
