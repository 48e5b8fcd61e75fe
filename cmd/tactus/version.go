package main

import (
	"fmt"
	"runtime/debug"

	"github.com/tactus-dev/tactus/domain/zone"
)

// versions returns the versions of the program and of the time zone data that it uses.
func versions() string {
	program := "(unknown)"
	if info, ok := debug.ReadBuildInfo(); ok {
		program = buildOf(info)
	}
	return fmt.Sprintf("tactus %s, time zone data %s", program, zones())
}

// buildOf returns the version, commit, Go version and platform of a program. A program that was built outside a Git
// checkout does not know its commit.
func buildOf(info *debug.BuildInfo) string {
	set := map[string]string{}
	for _, s := range info.Settings {
		set[s.Key] = s.Value
	}
	commit := "unknown"
	if revision := set["vcs.revision"]; revision != "" {
		commit = revision[:min(12, len(revision))]
	}
	if set["vcs.modified"] == "true" {
		commit += " with changes"
	}
	return fmt.Sprintf("%s (commit %s, %s, %s/%s)", info.Main.Version, commit, info.GoVersion, set["GOOS"],
		set["GOARCH"])
}

func zones() string { return fmt.Sprintf("%s of %s", zone.Version(), zone.Place()) }
