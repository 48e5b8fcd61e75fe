package api

import (
	"context"
	"net/http"
	"regexp"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/catalog"
	"github.com/tactus-dev/tactus/outbox"
)

func (s *server) actions(api huma.API) {
	post := func(name, summary string, handler func(context.Context, *changeInput) (*changed, error)) {
		register(api, huma.Operation{OperationID: name + "-schedule", Method: http.MethodPost, Path: prefix + "/schedules/{id}/" + name, Summary: summary}, handler)
	}
	post("enable", "Let a schedule fire from now on",
		s.change(func(ctx context.Context, id domain.ID, version int64) (domain.Schedule, error) {
			return s.store.SetEnabled(ctx, id, version, true)
		}))
	s.halts(api)
	post("toggle", "Enable a disabled schedule, disable an enabled one", s.change(s.store.Toggle))
	const trigger = prefix + "/schedules/{id}/trigger"
	register(api, huma.Operation{
		OperationID: "trigger-schedule", Method: http.MethodPost, Path: trigger, Summary: "Run a schedule now, perhaps with other arguments",
		Description:   "The body may be empty. What it names applies to this run alone, and the schedule stays as it is.",
		DefaultStatus: http.StatusAccepted,
	}, s.trigger)
	mayTake[domain.ManualRun](api, trigger)
}

type changeInput struct {
	ByID
	IfMatch
}

// changed is the schedule after an action, with a message for people.
type changed struct {
	ETag string `header:"ETag"`
	Body struct {
		catalog.Entry
		Message string `json:"message"`
	}
}

func (s *server) change(
	do func(context.Context, domain.ID, int64) (domain.Schedule, error),
) func(context.Context, *changeInput) (*changed, error) {
	return func(ctx context.Context, in *changeInput) (*changed, error) {
		id, version, err := target(in.ByID, in.IfMatch)
		if err != nil {
			return nil, s.answer(err)
		}
		if _, err := do(ctx, id, version); err != nil {
			return nil, s.answer(err)
		}
		now, err := s.read(ctx, id)
		if err != nil {
			return nil, err
		}
		out := &changed{ETag: now.ETag}
		out.Body.Entry, out.Body.Message = now.Body, messageOf(now.Body)
		return out, nil
	}
}

// messageOf returns a message for people about a schedule that was enabled or disabled.
func messageOf(e catalog.Entry) string {
	switch {
	case !e.IsEnabled():
		return "Schedule disabled successfully"
	case e.State == domain.Completed:
		return "The schedule is enabled, but can fire no more: give it another trigger, or more max_runs, to have it fire again"
	case e.State == domain.Unfit:
		return "The schedule is enabled, but invalid, and fires nothing until it is corrected"
	}
	return "Schedule enabled successfully"
}

type triggered struct {
	Location string `header:"Location"`
	Body     struct {
		ScheduleID domain.ID `json:"schedule_id"`
		RunID      domain.ID `json:"run_id"`
		TaskID     domain.ID `json:"task_id"`
		Status     string    `json:"status"`
	}
}

// traceParent matches W3C's traceparent header. Other values are ignored.
var traceParent = regexp.MustCompile(`^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)

func (s *server) trigger(ctx context.Context, in *struct {
	ByID
	Once
	Trace string `header:"traceparent" doc:"The trace that the run goes on with (W3C)."`
	body
},
) (*triggered, error) {
	if !traceParent.MatchString(in.Trace) {
		in.Trace = ""
	}
	id, err := in.id()
	if err != nil {
		return nil, s.answer(err)
	}
	run, err := s.store.TriggerOnce(ctx, id, outbox.Manual{With: in.RawBody, Key: in.Key, TraceParent: in.Trace})
	if err != nil {
		return nil, s.answer(err)
	}
	out := &triggered{Location: prefix + "/tasks/" + run.String() + "/status"}
	out.Body.ScheduleID, out.Body.RunID, out.Body.TaskID, out.Body.Status = id, run, run, string(domain.Due)
	return out, nil
}
