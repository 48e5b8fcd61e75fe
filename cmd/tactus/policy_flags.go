package main

import "encoding/json"

// policyFlags define the rest of a schedule: how its trigger is read, when it may fire, and what its runs contain.
type policyFlags struct {
	CronSeconds   *bool       `aliases:"seconds" help:"The cron expression begins with the seconds."`
	Anchor        *comingTime `placeholder:"TIME" help:"Instant from which an interval counts."`
	DSTGap        *string     `name:"dst-gap" help:"${dst_gap}"`
	DSTOverlap    *string     `name:"dst-overlap" help:"${dst_overlap}"`
	StartsAt      *comingTime `placeholder:"TIME" help:"It fires nothing before."`
	EndsAt        *comingTime `placeholder:"TIME" help:"It fires nothing after."`
	MaxRuns       *int64      `placeholder:"NUMBER" help:"How many runs it has at most."`
	Jitter        *inSeconds  `placeholder:"LENGTH" help:"How late it fires at most, by another delay for each due time (20s: a poll of somebody's server, not always in the same second)."`
	Spread        *inSeconds  `placeholder:"LENGTH" help:"Within how long schedules that are due at once fire, each at its own place of it (1h: nightly jobs that are due at midnight fire all through the hour)."`
	Overlap       *string     `help:"${execution_policy}"`
	MisfireWindow *inSeconds  `placeholder:"LENGTH" help:"How old a missed due time may be that still fires."`
	MisfireGrace  *inSeconds  `placeholder:"LENGTH" help:"How late the last due time may be before the misfire policy decides."`
	Exchange      *string     `help:"Exchange that runs go through; it needs a routing key."`
	RoutingKey    *string     `placeholder:"KEY" help:"Routing key; it needs an exchange."`
	Headers       string      `placeholder:"JSON" help:"Headers of the messages, a JSON object."`
	TaskParams    string      `placeholder:"JSON" help:"Keyword arguments, a JSON object, to which the schedule's id is added."`
	TimeLimit     *inSeconds  `placeholder:"LENGTH" help:"How long after its start the worker kills the task."`
	SoftTimeLimit *inSeconds  `placeholder:"LENGTH" help:"How long after its start the worker asks the task to end."`
	IgnoreResult  *bool       `help:"Do not keep the task's result."`
	IgnoreRoutes  *bool       `help:"No route concerns it: an option that is absent is none."`
	Shadow        *string     `placeholder:"NAME" help:"Name by which workers log the task."`
}

// fill adds the members whose flags were given.
func (f policyFlags) fill(members map[string]any) error {
	given(members, map[string]*string{
		"dst_gap": f.DSTGap, "dst_overlap": f.DSTOverlap, "execution_policy": f.Overlap, "exchange": f.Exchange,
		"routing_key": f.RoutingKey, "shadow": f.Shadow,
	})
	given(members, map[string]*comingTime{
		"interval_anchor": f.Anchor, "starts_at": f.StartsAt, "ends_at": f.EndsAt,
	})
	given(members, map[string]*int64{"max_runs": f.MaxRuns})
	given(members, map[string]*inSeconds{
		"jitter_seconds": f.Jitter, "spread_seconds": f.Spread, "time_limit_seconds": f.TimeLimit,
		"soft_time_limit_seconds": f.SoftTimeLimit, "misfire_window_seconds": f.MisfireWindow, "misfire_grace_seconds": f.MisfireGrace,
	})
	given(members, map[string]*bool{
		"cron_seconds": f.CronSeconds, "ignore_result": f.IgnoreResult, "ignore_routes": f.IgnoreRoutes,
	})
	for name, value := range map[string]string{"headers": f.Headers, "task_params": f.TaskParams} {
		if value == "" {
			continue
		}
		if !json.Valid([]byte(value)) {
			return usage(`%s %q is not JSON: want an object such as '{"a": 1}'`, name, value)
		}
		members[name] = json.RawMessage(value)
	}
	return nil
}
