package zone

import (
	"archive/zip"
	"bytes"
	_ "embed"
	"io"
	"strings"
	"sync"
	"sync/atomic"
)

// Data is one release of the tz database.
type Data struct {
	Version string            // "2026f"
	Place   string            // where it comes from, for people
	Files   map[string][]byte // TZif, by the names of the zones
}

//go:generate go run ../../internal/zonegen .

//go:embed zoneinfo.zip
var packed []byte

//go:embed version.txt
var packedVersion string

var embedded = sync.OnceValue(func() *Data {
	data, err := unpack()
	if err != nil {
		panic("embedded zoneinfo.zip: " + err.Error()) // the program was built with a broken file
	}
	return &Data{EmbeddedVersion(), place, data}
})

func unpack() (map[string][]byte, error) {
	archive, err := zip.NewReader(bytes.NewReader(packed), int64(len(packed)))
	if err != nil {
		return nil, err
	}
	files := make(map[string][]byte, len(archive.File))
	for _, f := range archive.File {
		r, err := f.Open()
		if err != nil {
			return nil, err
		}
		if files[f.Name], err = io.ReadAll(r); err != nil {
			return nil, err
		}
	}
	return files, nil
}

var used atomic.Pointer[Data]

func current() *Data {
	if data := used.Load(); data != nil {
		return data
	}
	return embedded()
}

// Use has the process go by other data. It is for its start: zones that were loaded before stay as they are where they
// are held.
func Use(data Data) {
	used.Store(&data)
	loaded.Clear()
}

// place is where the data of the program comes from.
const place = "the program"

// EmbeddedVersion is the release of the data in the program.
func EmbeddedVersion() string { return strings.TrimSpace(packedVersion) }

// Version is the release that the process goes by.
func Version() string {
	if data := used.Load(); data != nil {
		return data.Version
	}
	return EmbeddedVersion()
}

// Place is where that release comes from.
func Place() string {
	if data := used.Load(); data != nil {
		return data.Place
	}
	return place
}

// File is what the release has for a zone that Load knows, and nil for another. Equal files are equal zones.
func File(name string) []byte { return current().Files[name] }
