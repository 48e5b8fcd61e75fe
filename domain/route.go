package domain

import "strings"

// Route says with which options tasks are sent whose schedules do not say so themselves, as Celery's task_routes and the
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

const wildcards = "*?"

// IsPattern reports whether the route is for all tasks whose names match, rather than for one of that name.
func (r Route) IsPattern() bool { return strings.ContainsAny(r.Pattern, wildcards) }

// Apply gives a task the options of the route that it does not have itself. Where a task goes is one option: what names a
// queue or an exchange goes there, and what goes to a stream has no other options.
func (r Route) Apply(t Task) Task {
	if t.Stream != "" {
		return t
	}
	if t.Queue == "" && t.Exchange == "" {
		t.Queue, t.Exchange, t.RoutingKey = r.Queue, r.Exchange, r.RoutingKey
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

// Check tells all that is wrong with a route. What a worker could not be handed is for check, which may be nil, to say.
func (r Route) Check(check Check) error {
	var f Faults
	if r.Pattern == "" || len(r.Pattern) > maxName || strings.ContainsFunc(r.Pattern, func(c rune) bool { return c < ' ' }) {
		f.add("name_invalid", "/pattern", "want the name of a task, or a pattern with * and ?, of at most %d bytes", maxName)
	}
	if (r.Exchange == "") != (r.RoutingKey == "") {
		f.add("target_ambiguous", "/exchange", "an exchange and a routing key go together: give both, or neither")
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
