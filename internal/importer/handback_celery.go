package importer

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/internal/oldbeat"
)

// LastRuns is what Script reads (--hand-back) to write into the file of an application's own beat what ran last.
type LastRuns struct {
	Version int       `json:"version"`
	Source  string    `json:"source"`
	Entries []LastRun `json:"entries"`
}

// LastRun is what ran last of one schedule that came from a beat_schedule.
type LastRun struct {
	Names []string `json:"names"` // that its entry may have, the likelier one first
	Last  string   `json:"last_run_at,omitempty"`

	// Until Settled nothing that was due is to be sent any more. If the beat, by what it has noted itself, would send
	// something of it at once, it is to go on from SettledRun.
	Settled    string `json:"settled,omitempty"`
	SettledRun string `json:"settled_run,omitempty"`

	Off  bool     `json:"off,omitempty"`  // disabled, deleted or at its end
	Lost []string `json:"lost,omitempty"` // what of the schedule Celery's beat does not do
}

// pythonTime is a layout of times in UTC that every version of Python reads.
const pythonTime = "2006-01-02T15:04:05.000000+00:00"

// HandBackCelery returns what ran last of the schedules that came from an application's beat_schedule.
func HandBackCelery(ctx context.Context, pool *pgxpool.Pool, source Source) (LastRuns, error) {
	told := LastRuns{Version: scriptVersion, Source: source.Label, Entries: []LastRun{}}
	all, err := importedRuns(ctx, pool, source)
	if err != nil {
		return told, err
	}
	for _, r := range all {
		d, err := r.definition()
		if err != nil {
			return told, fmt.Errorf("hand %s back: %w", r.Name, err)
		}
		entry := LastRun{Names: source.namesOf(r.Name), Off: r.off(d), Lost: r.lost(d)}
		if r.Last != nil {
			entry.Last = r.Last.UTC().Format(pythonTime)
		}
		if r.Settled != nil {
			entry.Settled = r.Settled.UTC().Format(pythonTime)
			entry.SettledRun = oldbeat.SettledRun(d, *r.Settled).UTC().Format(pythonTime)
		}
		told.Entries = append(told.Entries, entry)
	}
	return told, nil
}
