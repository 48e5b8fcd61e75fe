// Command zonegen writes the zone data that domain/zone embeds, from the newest tzdata package of Debian ("make
// zones"). The same package always yields the same bytes.
package main

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tactus-dev/tactus/internal/hostzones"
	"github.com/tactus-dev/tactus/internal/servers"
)

// suites lists the Debian suites in which a release may appear first.
var suites = []string{"trixie", "sid"}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: zonegen FOLDER")
		os.Exit(2)
	}
	if err := run(context.Background(), os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "zonegen:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, folder string) error {
	say := func(text string) { fmt.Fprintln(os.Stderr, text) }
	suite, release, err := newest(ctx)
	if err != nil {
		return err
	}
	root, err := servers.Unpack(ctx, say, suite, "tzdata", "tzdata-legacy")
	if err != nil {
		return err
	}
	data, err := hostzones.Read(filepath.Join(root, "usr/share/zoneinfo"))
	if err != nil {
		return err
	}
	if data.Version != release {
		return fmt.Errorf("%s has %s, and %s has %s by now: remove the folder", root, data.Version, suite, release)
	}
	packed, err := pack(data.Files)
	if err != nil {
		return err
	}
	say(fmt.Sprintf("%s of %s: %d zones", data.Version, suite, len(data.Files)))
	if err := os.WriteFile(filepath.Join(folder, "zoneinfo.zip"), packed, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "version.txt"), []byte(data.Version+"\n"), 0o644)
}

// newest returns the suite with the newest release.
func newest(ctx context.Context) (suite, release string, err error) {
	for _, s := range suites {
		offered, err := servers.Offered(ctx, s, "tzdata")
		if err != nil {
			return "", "", err
		}
		if r, _, _ := strings.Cut(offered, "-"); hostzones.Newer(r, release) {
			suite, release = s, r
		}
	}
	return suite, release, nil
}

func pack(files map[string][]byte) ([]byte, error) {
	var out bytes.Buffer
	archive := zip.NewWriter(&out)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		w, err := archive.CreateHeader(&zip.FileHeader{
			Name: name, Method: zip.Deflate, Modified: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC),
		})
		if err == nil {
			_, err = w.Write(files[name])
		}
		if err != nil {
			return nil, err
		}
	}
	err := archive.Close()
	return out.Bytes(), err
}
