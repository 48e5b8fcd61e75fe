package main

import (
	"strings"

	"github.com/alecthomas/kong"
)

// choosing is how the help of a flag begins that says which schedules, runs or events are meant.
const choosing = "Only "

// refuseRepeated refuses flags that choose and are given more than once, if they take one value: of the values all but
// the last would be passed over, and others would be listed, or deleted, than were asked for.
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
