package main

import (
	"strings"

	"github.com/alecthomas/kong"
)

// choosing begins the help of every flag that selects schedules, runs or events.
const choosing = "Only "

// refuseRepeated refuses selecting flags with one value that are given more than once. Otherwise all values but the
// last would be ignored, and the command would list, or delete, others than were asked for.
func refuseRepeated(parsed *kong.Context) error {
	given := map[*kong.Flag]int{}
	for _, step := range parsed.Path {
		f := step.Flag
		if f == nil || step.Resolved || f.IsCumulative() || f.IsBool() || !strings.HasPrefix(f.Help, choosing) {
			continue
		}
		if given[f]++; given[f] == 2 {
			return usage("--%s is given more than once, and takes one value: give it once", f.Name)
		}
	}
	return nil
}
