package handover

import (
	"maps"
	"slices"
	"strings"

	"github.com/tactus-dev/tactus/domain"
)

// Check returns an error with every reason why the task could not be handed over, to a queue or to the stream that it
// names. It is a [domain.Check].
func (l Limits) Check(task domain.Task) error {
	if task.Stream != "" {
		return l.CheckStream(task.Stream)
	}
	return l.CheckMessage(task)
}

// CheckStream refuses a stream whose name is the name of a queue or of another key of the workers', or lacks the prefix
// that streams have here.
func (l Limits) CheckStream(name string) error {
	l = l.withDefaults()
	own := strings.TrimPrefix(name, l.KeyPrefix) // the workers' name for the key
	switch {
	case domain.ReservedKey(name) || domain.ReservedKey(own) || l.QueueOf(name) == l.DefaultQueue:
		return domain.Faults{fault("target_ambiguous", "/stream", "%q is a name that tactus or Celery uses itself: choose another", name)}
	case !strings.HasPrefix(name, l.StreamPrefix):
		return domain.Faults{fault("target_ambiguous", "/stream", "streams begin with %q here (TACTUS_STREAM_PREFIX): %q does not", l.StreamPrefix, name)}
	}
	return nil
}

// CheckMessage returns an error with every reason why no message for a queue can be made of the task.
func (l Limits) CheckMessage(task domain.Task) error {
	l = l.withDefaults()
	task.Args, task.Kwargs = orElse(task.Args, "[]"), orElse(task.Kwargs, "{}")
	faults := slices.Concat(l.checkRoute(task), checkBody(task), checkHeaders(task))
	if len(faults) == 0 {
		return nil
	}
	return faults
}

// checkRoute refuses a queue, exchange or routing key that could be mistaken for something else.
func (l Limits) checkRoute(task domain.Task) (faults domain.Faults) {
	if domain.ReservedKey(l.queue(task.Queue)) {
		faults = append(faults, fault("target_ambiguous", "/queue",
			"%q is a name that tactus or Celery uses itself: choose another", l.queue(task.Queue)))
	}
	if domain.ReservedKey(task.Exchange) {
		faults = append(faults, fault("target_ambiguous", "/exchange",
			"%q is a name that tactus or Celery uses itself: choose another", task.Exchange))
	}
	for _, part := range []struct{ field, text string }{{"/queue", l.queue(task.Queue)}, {"/exchange", task.Exchange}, {"/routing_key", task.RoutingKey}} {
		if strings.Contains(part.text, l.PrioritySeparator) {
			faults = append(faults, fault("text_invalid", part.field,
				"it holds %q, which parts a queue from a priority: give the priority by itself", l.PrioritySeparator))
		}
	}
	return faults
}

func checkBody(task domain.Task) (faults domain.Faults) {
	if task.TaskName == "" {
		faults = append(faults, fault("task_missing", "/task_name",
			"say what to run, as the worker registers it (\"app.tasks.send\")"))
	}
	for _, part := range []struct {
		raw         []byte
		first       byte
		code, field string
		want        string
	}{
		{task.Args, '[', "args_not_list", "/args", "want a JSON list: [...]"},
		{task.Kwargs, '{', "kwargs_not_object", "/kwargs", "want a JSON object: {...}"},
	} {
		if why := unreadable(part.raw); why != "" {
			faults = append(faults, fault("value_unreadable", part.field, "%s", why))
		} else if !startsWith(part.raw, part.first) {
			faults = append(faults, fault(part.code, part.field, "%s", part.want))
		}
	}
	return faults
}

func startsWith(raw []byte, first byte) bool {
	trimmed := strings.TrimLeft(string(raw), " \t\r\n")
	return trimmed != "" && trimmed[0] == first
}

func checkHeaders(task domain.Task) (faults domain.Faults) {
	for _, name := range slices.Sorted(maps.Keys(task.Headers)) {
		value, field := task.Headers[name], "/headers/"+pointer.Replace(name)
		if isReserved(name) {
			faults = append(faults, fault("target_ambiguous", field,
				"Celery or tactus sets this one itself: choose another name"))
		}
		if why := unreadable(value); why != "" {
			faults = append(faults, fault("value_unreadable", field, "%s", why))
		} else if namesType(value) {
			faults = append(faults, fault("value_unreadable", field,
				"an object with the member __type__ is a typed value to Celery, and a wrong one ends the worker: put it in kwargs"))
		}
	}
	return faults
}

// pointer escapes a name in a JSON pointer.
var pointer = strings.NewReplacer("~", "~0", "/", "~1")
