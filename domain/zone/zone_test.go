package zone_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain/zone"
)

// TestEveryNameLoads also holds that an equal name gives the same zone.
func TestEveryNameLoads(t *testing.T) {
	t.Parallel()
	names := zone.Names()
	if len(names) < 500 {
		t.Errorf("%d names", len(names))
	}
	for _, name := range names {
		location, err := zone.Load(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if again, _ := zone.Load(name); again != location || location.String() != name {
			t.Errorf("%s: loaded twice, or as %s", name, location)
		}
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]error{
		"EST": zone.ErrAbbreviation, "CDT": zone.ErrAbbreviation, "Local": zone.ErrAbbreviation, "local": zone.ErrAbbreviation,
		"CET": zone.ErrAbbreviation, "GMT+9": zone.ErrAbbreviation, "+09": zone.ErrUnknown, "": zone.ErrUnknown,
		"Asia/Atlantis": zone.ErrUnknown, "../UTC": zone.ErrUnknown, "Asia/": zone.ErrUnknown, "asia/tokyo": zone.ErrUnknown,
		strings.Repeat("A", 100_000): zone.ErrUnknown, "UTC\x00": zone.ErrUnknown,
	} {
		if location, err := zone.Load(name); !errors.Is(err, want) || location != nil {
			t.Errorf("%.20q: %v, %v; want %v", name, location, err, want)
		}
	}
	if _, err := zone.Load("asia/tokyo"); !strings.Contains(err.Error(), `do you mean "Asia/Tokyo"?`) {
		t.Errorf("no suggestion: %v", err)
	}
	for _, name := range []string{"UTC", "GMT", "Etc/GMT+7", "EST5EDT", "Zulu", "Japan", "America/Argentina/Ushuaia"} {
		if _, err := zone.Load(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestHostIsNotAsked puts a wrong zone where the standard library looks first.
func TestHostIsNotAsked(t *testing.T) {
	host := t.TempDir()
	t.Setenv("ZONEINFO", host)
	if err := os.Mkdir(filepath.Join(host, "Asia"), 0o755); err != nil {
		t.Fatal(err)
	}
	// A file of one type, at offset 0, without transitions.
	wrong := "TZif" + strings.Repeat("\x00", 32) + "\x00\x00\x00\x01" + "\x00\x00\x00\x04" + "\x00\x00\x00\x00\x00\x00" + "BAD\x00"
	if err := os.WriteFile(filepath.Join(host, "Asia", "Kathmandu"), []byte(wrong), 0o644); err != nil {
		t.Fatal(err)
	}
	if location, err := time.LoadLocation("Asia/Kathmandu"); err != nil || zoneOf(location) != "BAD" {
		t.Fatalf("the standard library has not been misled: %v, %v", location, err)
	}
	location, err := zone.Load("Asia/Kathmandu")
	if err != nil {
		t.Fatal(err)
	}
	if got := zoneOf(location); got != "+0545" {
		t.Error(got)
	}
}

func zoneOf(location *time.Location) string {
	name, _ := time.Date(2026, 1, 1, 0, 0, 0, 0, location).Zone()
	return name
}

// TestDataIsOfTheVersion holds changes that releases brought, of which 2025c knows the first only.
func TestDataIsOfTheVersion(t *testing.T) {
	t.Parallel()
	for name, hours := range map[string]map[string]float64{
		"America/Coyhaique": {"2026-07-01": -3},
		"America/Vancouver": {"2026-07-01": -7, "2026-12-15": -7, "2028-01-15": -7},
		"America/Edmonton":  {"2026-07-01": -6, "2026-12-15": -6},
		"America/Winnipeg":  {"2026-07-01": -5, "2026-12-15": -5},
		"Africa/Casablanca": {"2026-07-01": 1, "2026-12-15": 0, "2027-07-01": 0},
	} {
		location, err := zone.Load(name)
		if err != nil {
			t.Fatalf("%s has it: %v", zone.Version(), err)
		}
		for date, want := range hours {
			at, err := time.ParseInLocation(time.DateOnly, date, location)
			if err != nil {
				t.Fatal(err)
			}
			if _, offset := at.Zone(); float64(offset)/3600 != want {
				t.Errorf("%s on %s: offset %d", name, date, offset)
			}
		}
	}
}
