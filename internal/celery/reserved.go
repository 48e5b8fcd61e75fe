package celery

import (
	"maps"
	"reflect"
	"slices"
	"strings"
)

// reserved are the headers that an own header must not overwrite: those that we send, and the names under which a task
// finds something else in self.request, where own headers are put too.
var reserved = func() map[string]bool {
	names := map[string]bool{}
	for field := range reflect.TypeFor[headers]().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		names[name] = true
	}
	for _, name := range requestNames {
		names[name] = true
	}
	return names
}()

// requestNames are the members of celery.app.task.Context, and what kombu reads from headers.
var requestNames = []string{
	"_children", "_protected", "args", "as_execution_options", "callbacks", "called_directly", "chain", "children", "chord",
	"clear", "compression", "correlation_id", "delivery_info", "errbacks", "get", "headers", "hostname", "is_eager", "kwargs",
	"logfile", "loglevel", "properties", "redelivered", "reply_to", "taskset", "update", "utc",
}

// isReserved takes no account of case: whatever stands between us and the worker may not either.
func isReserved(name string) bool {
	name = strings.ToLower(name)
	return reserved[name] || strings.HasPrefix(name, "x-tactus-")
}

// ReservedHeaders are the names, in lower case and in order, that no header of a task may have, whatever its case; beside
// those that begin with x-tactus-.
func ReservedHeaders() []string {
	return slices.Sorted(maps.Keys(reserved))
}
