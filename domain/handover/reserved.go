package handover

import (
	"maps"
	"slices"
	"strings"
)

// reserved has the names that a task's own headers must not have: the headers that we send, and the attributes of
// self.request, in which Celery puts own headers too.
var reserved = func() map[string]bool {
	names := map[string]bool{}
	for _, name := range slices.Concat(sentNames, requestNames) {
		names[name] = true
	}
	return names
}()

// sentNames are the headers of a message. (A test of the encoder compares them with what it writes.)
var sentNames = []string{
	"argsrepr", "eta", "expires", "group", "group_index", "id", "ignore_result", "kwargsrepr", "lang", "origin", "parent_id",
	"periodic_task_name", "replaced_task_nesting", "retries", "root_id", "shadow", "stamped_headers", "stamps", "task", "timelimit",
	"traceparent", "x-tactus-due-at", "x-tactus-run-id", "x-tactus-schedule-id",
}

// requestNames are the attributes of celery.app.task.Context, and the headers that kombu reads.
var requestNames = []string{
	"_children", "_protected", "args", "as_execution_options", "callbacks", "called_directly", "chain", "children", "chord",
	"clear", "compression", "correlation_id", "delivery_info", "errbacks", "get", "headers", "hostname", "is_eager", "kwargs",
	"logfile", "loglevel", "properties", "redelivered", "reply_to", "taskset", "update", "utc",
}

// isReserved ignores case, because a proxy or library between us and the worker may do so too.
func isReserved(name string) bool {
	name = strings.ToLower(name)
	return reserved[name] || strings.HasPrefix(name, "x-tactus-")
}

// ReservedHeaders returns the names, sorted and in lower case, that no header of a task may have in any case. Names
// that begin with x-tactus- are reserved too.
func ReservedHeaders() []string {
	return slices.Sorted(maps.Keys(reserved))
}
