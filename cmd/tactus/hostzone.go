package main

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/tactus-dev/tactus/domain/zone"
)

// hostZone is the time zone of this host by its name, and what says so; false when nothing does. Cron goes by it.
func hostZone() (name, from string, found bool) {
	link, _ := filepath.EvalSymlinks("/etc/localtime") // empty when there is none
	_, linked, _ := strings.Cut(link, "zoneinfo/")
	written, _ := os.ReadFile("/etc/timezone") // the same
	for _, said := range []struct{ name, from string }{
		{strings.TrimPrefix(os.Getenv("TZ"), ":"), "TZ"}, {linked, "/etc/localtime"}, {strings.TrimSpace(string(written)), "/etc/timezone"},
	} {
		if _, err := zone.Load(said.name); said.name != "" && err == nil {
			return said.name, said.from, true
		}
	}
	return "", "", false
}
