package celery

import (
	"maps"
	"slices"
	"strings"

	"github.com/tactus-dev/tactus/domain"
)

// Check returns an error with every reason why Encode would refuse the task, or the stream that the task names. Whoever
// stores tasks calls it.
func (cfg Config) Check(task domain.Task) error {
	if task.Stream != "" {
		return cfg.CheckStream(task.Stream)
	}
	task.Args, task.Kwargs = orElse(task.Args, "[]"), orElse(task.Kwargs, "{}")
	return check(task, cfg.withDefaults())
}

// CheckStream refuses a stream whose name is the name of a queue or of another key of the workers', or lacks the prefix
// that streams have here.
func (cfg Config) CheckStream(name string) error {
	cfg = cfg.withDefaults()
	own := strings.TrimPrefix(name, cfg.KeyPrefix) // the workers' name for the key
	switch {
	case domain.ReservedKey(name) || domain.ReservedKey(own) || cfg.QueueOf(name) == cfg.DefaultQueue:
		return domain.Faults{fault("target_ambiguous", "/stream", "%q is the name of a key that tactus or Celery uses itself: choose another", name)}
	case !strings.HasPrefix(name, cfg.StreamPrefix):
		return domain.Faults{fault("target_ambiguous", "/stream", "streams begin with %q here (TACTUS_STREAM_PREFIX): %q does not", cfg.StreamPrefix, name)}
	}
	return nil
}

func check(task domain.Task, cfg Config) error {
	faults := slices.Concat(checkRoute(task, cfg), checkBody(task), checkHeaders(task))
	if len(faults) == 0 {
		return nil
	}
	return faults
}

// checkRoute refuses a queue, exchange or routing key that could be mistaken for something else.
func checkRoute(task domain.Task, cfg Config) (faults domain.Faults) {
	if domain.ReservedKey(cfg.queue(task.Queue)) {
		faults = append(faults, fault("target_ambiguous", "/queue", "%q is the name of a key that tactus or Celery uses itself: choose another", cfg.queue(task.Queue)))
	}
	for _, part := range []struct{ field, text string }{{"/queue", cfg.queue(task.Queue)}, {"/exchange", task.Exchange}, {"/routing_key", task.RoutingKey}} {
		if strings.Contains(part.text, cfg.PrioritySeparator) {
			faults = append(faults, fault("text_invalid", part.field, "it holds %q, which parts a queue from a priority: give the priority by itself", cfg.PrioritySeparator))
		}
	}
	return faults
}

func checkBody(task domain.Task) (faults domain.Faults) {
	if task.TaskName == "" {
		faults = append(faults, fault("task_missing", "/task_name", "say what to run, as the worker registers it (\"app.tasks.send\")"))
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
			faults = append(faults, fault("target_ambiguous", field, "Celery or tactus sets this one itself: choose another name"))
		}
		if why := unreadable(value); why != "" {
			faults = append(faults, fault("value_unreadable", field, "%s", why))
		} else if namesType(value) {
			faults = append(faults, fault("value_unreadable", field, "an object with the member __type__ is a typed value to Celery, and a wrong one ends the worker: put it in kwargs"))
		}
	}
	return faults
}

// pointer escapes a name in a JSON pointer.
var pointer = strings.NewReplacer("~", "~0", "/", "~1")
