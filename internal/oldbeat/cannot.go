package oldbeat

import (
	"fmt"
	"strings"
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// Cannot lists what of a schedule Celery's beat does not do, for whoever hands the schedule back to it. Nothing of it
// is ever imported from a beat, so it was added here. now is when the beat takes over.
func Cannot(d domain.Definition, h domain.Halt, now time.Time) (lost []string) {
	lose := func(format string, args ...any) { lost = append(lost, fmt.Sprintf(format, args...)) }
	switch {
	case len(d.ExcludeCalendars) > 0:
		lose("it sends on the days of %s, too (exclude_calendars)", strings.Join(d.ExcludeCalendars, " and "))
	case len(d.OnlyCalendars) > 0:
		lose("it sends on all days, not only on those of %s (only_calendars)", strings.Join(d.OnlyCalendars, " and "))
	}
	if h.SkipUntil.After(now) {
		lose("it sends what is skipped here until %s", h.SkipUntil.UTC().Format(time.RFC3339))
	}
	if !h.PausedUntil.IsZero() {
		lose("it knows no end of a pause, which is %s here", h.PausedUntil.UTC().Format(time.RFC3339))
	}
	if d.StartsAt != "" {
		lose("it sends before %s, too (starts_at)", d.StartsAt)
	}
	if d.EndsAt != "" && d.RRule == "" { // RedBeat's rules have an end of their own
		lose("it sends after %s, too (ends_at)", d.EndsAt)
	}
	if d.MaxRuns != 0 {
		lose("it counts no runs (max_runs %d)", d.MaxRuns)
	}
	if d.JitterSeconds != 0 {
		lose("it sends without a delay (jitter_seconds %d)", d.JitterSeconds)
	}
	if d.SpreadSeconds != 0 {
		lose("it sends without a delay (spread_seconds %d)", d.SpreadSeconds)
	}
	if d.ExecutionPolicy == "skip" || d.ExecutionPolicy == "queue" {
		lose("it sends while the previous run is unfinished, too (execution_policy %s)", d.ExecutionPolicy)
	}
	if d.MisfirePolicy == "none" || d.MisfirePolicy == "all" {
		lose("it sends once what it missed, whatever that was (misfire_policy %s)", d.MisfirePolicy)
	}
	if d.Stream != "" {
		lose("it sends to no stream (%s)", d.Stream)
	}
	return lost
}
