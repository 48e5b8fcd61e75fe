package domain

import (
	"encoding/json"
	"maps"
	"slices"
)

// ManualRun is what a manual run may say otherwise than its schedule.
type ManualRun struct {
	Args           json.RawMessage `json:"args,omitempty" doc:"A list, in place of the schedule's."`
	Kwargs         json.RawMessage `json:"kwargs,omitempty" doc:"An object, in place of the schedule's as a whole."`
	Queue          string          `json:"queue,omitempty" doc:"In place of the schedule's queue, or of its exchange."`
	Priority       *int            `json:"priority,omitempty" doc:"0 to 255; on Redis 0 is the highest."`
	ExpiresSeconds int64           `json:"expires_seconds,omitempty" doc:"Seconds after the hand-over from which no worker starts the run."`
}

// manualMembers are the names of the members of ManualRun.
var manualMembers = names[ManualRun]()

// ForRun returns the schedule's definition with what a manual run says otherwise: a JSON object with any members of
// ManualRun. Each member replaces the schedule's whole value, also that of kwargs; null means the default, and a queue
// takes the place of an exchange. The error is Faults, with every fault found.
func (s Schedule) ForRun(members []byte, check Check) (Definition, error) {
	given, err := object(members)
	if err != nil {
		return Definition{}, err
	}
	var faults Faults
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !slices.Contains(manualMembers, name) {
			faults.add("unknown_field", "/"+name, "a run takes args, kwargs, queue, priority and expires_seconds; "+
				"everything else comes from the schedule")
			delete(given, name)
		}
		if s.Stream != "" && (name == "queue" || name == "priority") && present(given[name]) {
			faults.add("target_ambiguous", "/"+name,
				"the schedule goes to a stream, not to a Celery queue: leave it out")
			delete(given, name)
		}
	}
	base := s.Definition
	if present(given["kwargs"]) {
		base.Kwargs = nil // the members of a patch would be merged into these
	}
	if present(given["queue"]) {
		base.Exchange, base.RoutingKey = "", ""
	}
	patch, err := json.Marshal(given)
	if err != nil {
		return Definition{}, err
	}
	merged, err := base.Merge(patch)
	if err != nil {
		return Definition{}, Join(faults.err(), err)
	}
	d, _, err := merged.Normalize(Context{ID: s.ID, Timezone: s.Timezone, Previous: &s.Definition, Check: check})
	if err = Join(faults.err(), err); err != nil {
		return Definition{}, err
	}
	return d, nil
}
