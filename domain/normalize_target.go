package domain

import (
	"bytes"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
)

func (n *normalizer) task() {
	n.TaskName = strings.TrimSpace(n.TaskName)
	if n.TaskName == "" {
		n.faults.add("task_missing", "/task_name", "say what to run, as the worker registers it (\"app.tasks.send\")")
	}
	if present(n.TaskParams) {
		n.taskParams()
	}
	n.TaskParams = nil
	if present(n.Args) && !startsWith(n.Args, '[') {
		n.faults.add("args_not_list", "/args", "want a JSON list: [...]")
	}
	if present(n.Kwargs) && !startsWith(n.Kwargs, '{') {
		n.faults.add("kwargs_not_object", "/kwargs", "want a JSON object: {...}")
	}
	n.Args, n.Kwargs = compact(n.Args, "[]"), compact(n.Kwargs, "{}")
}

// taskParams makes kwargs of task_params, with the schedule's id added, as clients of that member expect.
func (n *normalizer) taskParams() {
	if compact(n.Kwargs, "{}") != nil && !equal(n.Kwargs, n.TaskParams) { // an answer carries both
		n.faults.add("target_ambiguous", "/task_params", "task_params is another name of kwargs: give one of them")
		return
	}
	params, ok := tryObject(n.TaskParams)
	if !ok {
		n.faults.add("kwargs_not_object", "/task_params", "want a JSON object: {...}")
		return
	}
	params["schedule_id"], _ = json.Marshal(n.context.ID) // an ID always encodes
	n.Kwargs, _ = json.Marshal(params)                    // raw members that were decoded always encode
}

func startsWith(raw json.RawMessage, c byte) bool {
	trimmed := bytes.TrimLeft(raw, " \t\r\n")
	return len(trimmed) > 0 && trimmed[0] == c
}

// compact removes white space, and returns nil for a value that means the same as its absence.
func compact(raw json.RawMessage, empty string) json.RawMessage {
	var b bytes.Buffer
	if !present(raw) || json.Compact(&b, raw) != nil || b.String() == empty {
		return nil
	}
	return b.Bytes()
}

// ReservedKey reports whether a name is others': tactus' own, or one of those by which Celery, kombu and RedBeat find
// their way. A stream or a queue of that name would end them all, and an exchange of that name would have workers obey
// or report what a schedule says. SQL has the same in tactus.reserved_key.
func ReservedKey(name string) bool {
	return ownKeys.MatchString(name) || reservedKeys.MatchString(strings.TrimLeft(name, "{")) ||
		strings.HasSuffix(name, ".pidbox")
}

// ownKeys are names that may follow a prefix (TACTUS_KEY_PREFIX).
var ownKeys = regexp.MustCompile(`(^|[^A-Za-z0-9_])tactus:`)

var reservedKeys = regexp.MustCompile(`^(_kombu\.|celery-task(set)?-meta-|celeryev|celeryresults$|celery_delayed_|redbeat:|unacked(_index|_mutex|_restore)?$|celery\.pidbox$)`)

// celeryQueue is the queue of runs that name none, unless another is configured.
const celeryQueue = "celery"

// celeryHeaders lists headers that are reserved in any case of their letters.
var celeryHeaders = []string{"task", "id", "lang", "root_id", "parent_id", "retries", "eta", "expires", "group"}

func (n *normalizer) target() {
	if n.Priority != nil && (*n.Priority < 0 || *n.Priority > 255) {
		n.faults.add("priority_range", "/priority", "%d: want 0 to 255 (on Redis 0 is the highest)", *n.Priority)
	}
	for _, name := range slices.Sorted(maps.Keys(n.Headers)) {
		if slices.Contains(celeryHeaders, strings.ToLower(name)) {
			n.faults.add("target_ambiguous", "/headers/"+name,
				"Celery's own header: use the member of the schedule, or another name")
		}
	}
	if ReservedKey(n.Queue) {
		n.reservedKey("queue", n.Queue)
	}
	if ReservedKey(n.Exchange) {
		n.reservedKey("exchange", n.Exchange)
	}
	if n.Stream == "" {
		return
	}
	if ReservedKey(n.Stream) || n.Stream == celeryQueue {
		n.reservedKey("stream", n.Stream)
	}
	var celeryOnly []string
	for name, given := range map[string]bool{
		"queue": n.Queue != "", "priority": n.Priority != nil, "exchange": n.Exchange != "", "routing_key": n.RoutingKey != "",
		"time_limit_seconds": n.TimeLimitSeconds != 0, "soft_time_limit_seconds": n.SoftTimeLimitSeconds != 0,
		"ignore_result": n.IgnoreResult, "shadow": n.Shadow != "",
	} {
		if given {
			celeryOnly = append(celeryOnly, name)
		}
	}
	slices.Sort(celeryOnly)
	for _, name := range celeryOnly {
		n.faults.add("target_ambiguous", "/"+name,
			"a schedule goes to a stream or to a Celery queue, not both: take out stream or %s", name)
	}
}

func (n *normalizer) reservedKey(field, name string) {
	n.faults.add("target_ambiguous", "/"+field, "%q is a name that tactus or Celery uses itself: choose another", name)
}
