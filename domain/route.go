package domain

import (
	"cmp"
	"strings"
)

// Route gives options to tasks whose schedules do not set these options themselves, as Celery's task_routes and the
// options of its tasks do.
type Route struct {
	Pattern              string `json:"pattern,omitempty" readOnly:"true" doc:"The name of a task, or a pattern: * is any text, ? any character."`
	Queue                string `json:"queue,omitempty"`
	Exchange             string `json:"exchange,omitempty"`
	RoutingKey           string `json:"routing_key,omitempty"`
	Priority             *int   `json:"priority,omitempty" doc:"0 to 255; on Redis 0 is the highest."`
	ExpiresSeconds       int64  `json:"expires_seconds,omitempty"`
	TimeLimitSeconds     int64  `json:"time_limit_seconds,omitempty"`
	SoftTimeLimitSeconds int64  `json:"soft_time_limit_seconds,omitempty"`
	IgnoreResult         bool   `json:"ignore_result,omitempty"`
}

// Errors about routes, for comparison with errors.Is. Postgres counts the routes: a run is compared with all patterns.
var (
	ErrRouteNotFound = &Error{Kind: NotFound, Code: "not_found", Message: "there is no such route"}
	ErrTooManyRoutes = &Error{
		Kind: Invalid, Code: "too_many_routes", Field: "/pattern",
		Message: "there are 10,000 routes already, or 1,000 patterns among them: " +
			"delete some, or cover several by one pattern",
	}
)

const wildcards = "*?"

// maxRouteName is how long the names are that a route gives to tasks, in bytes. Postgres has the same bound.
const maxRouteName = 1024

// IsPattern reports whether the route applies to all tasks whose names match, and not to one name only.
func (r Route) IsPattern() bool { return strings.ContainsAny(r.Pattern, wildcards) }

// Through reports whether a task goes through its exchange: an exchange without a routing key, or the reverse, is no
// destination.
func (t Task) Through() bool { return t.Exchange != "" && t.RoutingKey != "" }

// Apply adds to a task the options of the route that it does not have. A task that names a queue, or an exchange and a
// routing key, goes there; of the latter one without the other takes the place of that of the route, as with Celery. A
// task for a stream, or one that ignores routes, has no other options.
func (r Route) Apply(t Task) Task {
	if t.Stream != "" || t.IgnoreRoutes {
		return t
	}
	if t.Queue == "" && !t.Through() {
		t.Queue = r.Queue
		t.Exchange, t.RoutingKey = cmp.Or(t.Exchange, r.Exchange), cmp.Or(t.RoutingKey, r.RoutingKey)
	}
	if t.Priority == nil {
		t.Priority = r.Priority
	}
	for _, seconds := range []struct {
		of *int64
		by int64
	}{{&t.ExpiresSeconds, r.ExpiresSeconds}, {&t.TimeLimitSeconds, r.TimeLimitSeconds}, {&t.SoftTimeLimitSeconds, r.SoftTimeLimitSeconds}} {
		if *seconds.of == 0 {
			*seconds.of = seconds.by
		}
	}
	t.IgnoreResult = t.IgnoreResult || r.IgnoreResult
	return t
}

// Check returns all faults of a route. check, which may be nil, reports what could not be handed over to a worker.
func (r Route) Check(check Check) error {
	var f Faults
	if r.Pattern == "" || len(r.Pattern) > maxName ||
		strings.ContainsFunc(r.Pattern, func(c rune) bool { return c < ' ' }) {
		f.add("name_invalid", "/pattern", "want the name of a task, or a pattern with * and ?, of at most %d bytes",
			maxName)
	}
	if (r.Exchange == "") != (r.RoutingKey == "") {
		f.add("target_ambiguous", "/exchange", "an exchange and a routing key go together: give both, or neither")
	}
	for field, name := range map[string]string{"/exchange": r.Exchange, "/queue": r.Queue, "/routing_key": r.RoutingKey} {
		if len(name) > maxRouteName {
			f.add("name_invalid", field, "%d bytes: at most %d", len(name), maxRouteName)
		}
	}
	for field, name := range map[string]string{"/exchange": r.Exchange, "/queue": r.Queue} {
		if ReservedKey(name) {
			f.add("target_ambiguous", field, "%q is a name that tactus or Celery uses itself: choose another", name)
		}
	}
	if (r == Route{Pattern: r.Pattern}) {
		f.add("route_empty", "", "it says nothing: give a queue, a priority, or another option")
	}
	if r.Priority != nil && (*r.Priority < 0 || *r.Priority > 255) {
		f.add("priority_range", "/priority", "%d: want 0 to 255 (on Redis 0 is the highest)", *r.Priority)
	}
	for field, seconds := range map[string]int64{
		"/expires_seconds": r.ExpiresSeconds, "/time_limit_seconds": r.TimeLimitSeconds, "/soft_time_limit_seconds": r.SoftTimeLimitSeconds,
	} {
		if seconds < 0 {
			f.add("out_of_range", field, "%d: want a number of seconds, or none", seconds)
		}
	}
	if check != nil {
		f = append(f, FaultsOf(check(r.Apply(Task{TaskName: "t"})))...)
	}
	if len(f) == 0 {
		return nil
	}
	return f
}
