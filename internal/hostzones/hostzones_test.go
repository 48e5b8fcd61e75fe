package hostzones_test

import (
	"archive/zip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain/zone"
	"github.com/tactus-dev/tactus/internal/hostzones"
)

func TestNewer(t *testing.T) {
	t.Parallel()
	order := []string{"", "2025c", "2026a", "2026f", "2026z", "2026za", "2027a"}
	for i, a := range order {
		for j, b := range order {
			if got := hostzones.Newer(a, b); got != (i > j) {
				t.Errorf("%q after %q: %v", a, b, got)
			}
		}
	}
}

// future writes the program's data into a folder as another release, in which Tokyo has Kathmandu's offset.
func future(t *testing.T, release string) string {
	t.Helper()
	folder := t.TempDir()
	write := func(name string, text []byte) {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range zone.Names() {
		write(name, zone.File(name))
		write(filepath.Join("right", name), zone.File(name))
	}
	write("Asia/Tokyo", zone.File("Asia/Kathmandu"))
	if release != "" {
		write("tzdata.zi", []byte("# version "+release+"\nR ...\n"))
	}
	return folder
}

func offset(t *testing.T) int {
	t.Helper()
	location, err := zone.Load("Asia/Tokyo")
	if err != nil {
		t.Fatal(err)
	}
	_, offset := time.Date(2026, 1, 1, 0, 0, 0, 0, location).Zone()
	return offset
}

// TestNewerDataIsUsed offers folders and a zip file of older and newer releases. It changes the data that the whole
// process uses, so it does not run in parallel.
func TestNewerDataIsUsed(t *testing.T) {
	for release, want := range map[string]int{"2025c": 9 * 3600, "": 9 * 3600} {
		err := hostzones.Use(future(t, release))
		if got := offset(t); got != want || (err == nil) != (release != "") {
			t.Errorf("%q: offset %d, %v", release, got, err)
		}
	}
	if err := hostzones.Use(filepath.Join(t.TempDir(), "nowhere")); err == nil {
		t.Error("a missing folder caused no error")
	}
	folder := future(t, "2099a")
	packed := filepath.Join(t.TempDir(), "zoneinfo.zip")
	pack(t, folder, packed)
	if err := hostzones.Use(packed); err != nil || zone.Version() != "2099a" || zone.Place() != packed || offset(t) != 20700 {
		t.Errorf("%v: %s of %s, offset %d", err, zone.Version(), zone.Place(), offset(t))
	}
	if names := zone.Names(); strings.HasPrefix(names[len(names)-1], "right/") {
		t.Error("zones with leap seconds were used as others")
	}
	if zone.EmbeddedVersion() == "2099a" {
		t.Error("the version of the program's own data has changed")
	}
}

func pack(t *testing.T, folder, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := zip.NewWriter(f)
	if err := w.AddFS(os.DirFS(folder)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}
