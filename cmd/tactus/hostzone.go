package main

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/tactus-dev/tactus/domain/zone"
)

// hostZone returns the name of this host's time zone, by which its cron runs, and where the name was found. found is
// false when no setting names the zone.
func hostZone() (name, from string, found bool) {
	link, _ := filepath.EvalSymlinks("/etc/localtime") // empty when there is none
	_, linked, _ := strings.Cut(link, "zoneinfo/")
	written, _ := os.ReadFile("/etc/timezone") // empty when there is none, too
	for _, said := range []struct{ name, from string }{
		{strings.TrimPrefix(os.Getenv("TZ"), ":"), "TZ"},
		{linked, "/etc/localtime"},
		{strings.TrimSpace(string(written)), "/etc/timezone"},
	} {
		if _, err := zone.Load(said.name); said.name != "" && err == nil {
			return said.name, said.from, true
		}
	}
	return "", "", false
}
