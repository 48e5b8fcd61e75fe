// Package zone loads time zones from data embedded in the program, and from nowhere else.
//
// time.LoadLocation asks the host first, so two hosts may give two answers. The data is the tz database as the Go
// distribution ships it (lib/time/zoneinfo.zip), in the public domain; its release is [Version]. To bring a newer one
// in, copy that file from a newer distribution and set Version to the DATA of its update.bash.
package zone

import (
	"archive/zip"
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
)

// Version is the release of the tz database that is embedded.
const Version = "2025c"

// Errors that Load wraps.
var (
	ErrUnknown      = errors.New("unknown time zone")
	ErrAbbreviation = errors.New("abbreviation of a time zone")
)

//go:embed zoneinfo.zip
var data []byte

var files = sync.OnceValue(func() map[string]*zip.File {
	archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		panic("embedded zoneinfo.zip: " + err.Error()) // the program was built with a broken file
	}
	byName := make(map[string]*zip.File, len(archive.File))
	for _, f := range archive.File {
		if !strings.HasSuffix(f.Name, "/") {
			byName[f.Name] = f
		}
	}
	return byName
})

var loaded sync.Map // name to *time.Location

// Load returns the zone of an IANA name ("Asia/Tokyo", "UTC"). Equal names give the same pointer.
//
// Abbreviations ("EST", "CDT", "Local") are refused with ErrAbbreviation, although the database has some of them as
// names: they say a fixed offset, and whoever writes them rarely means that.
func Load(name string) (*time.Location, error) {
	if name == "UTC" {
		return time.UTC, nil
	}
	if l, ok := loaded.Load(name); ok {
		return l.(*time.Location), nil
	}
	if abbreviation(name) {
		return nil, fmt.Errorf("%w: %q: want an IANA name such as America/New_York", ErrAbbreviation, name)
	}
	file, ok := files()[name]
	if !ok {
		return nil, fmt.Errorf("%w: %q: want an IANA name such as America/New_York%s", ErrUnknown, name, suggest(name))
	}
	location, err := read(name, file)
	if err != nil {
		return nil, err
	}
	l, _ := loaded.LoadOrStore(name, location)
	return l.(*time.Location), nil
}

// Names lists every zone that Load knows, sorted.
func Names() []string {
	var names []string
	for name := range files() {
		if !abbreviation(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// abbreviation tells an abbreviation from a name: a name has a slash, or is a word that is not all capitals. EST5EDT and
// the like are names, of zones with daylight saving.
func abbreviation(name string) bool {
	switch name {
	case "UTC", "GMT", "UCT", "Zulu", "PRC", "ROC", "ROK", "GB", "NZ", "GB-Eire", "NZ-CHAT", "W-SU":
		return false
	case "Local", "local", "":
		return name != ""
	}
	letters := strings.TrimRight(name, "+-0123456789")
	return len(name) <= 8 && len(letters) > 0 && !strings.ContainsFunc(letters, func(r rune) bool { return r < 'A' || r > 'Z' })
}

func suggest(name string) string {
	for known := range files() {
		if strings.EqualFold(known, name) && !abbreviation(known) {
			return fmt.Sprintf("; do you mean %q?", known)
		}
	}
	return ""
}

func read(name string, file *zip.File) (*time.Location, error) {
	r, err := file.Open()
	if err != nil {
		return nil, fmt.Errorf("load zone %s: %w", name, err)
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("load zone %s: %w", name, err)
	}
	return time.LoadLocationFromTZData(name, text)
}
