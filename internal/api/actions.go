package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tactus-dev/tactus/domain"
)

func (s *server) actions(api huma.API) {
	post := func(name, summary string, handler func(context.Context, *changeInput) (*one, error)) {
		register(api, huma.Operation{OperationID: name + "-schedule", Method: http.MethodPost, Path: prefix + "/schedules/{id}/" + name, Summary: summary}, handler)
	}
	post("enable", "Let a schedule fire from now on", s.change(func(ctx context.Context, id domain.ID, version int64) (domain.Schedule, error) {
		return s.store.SetEnabled(ctx, id, version, true)
	}))
	post("disable", "Stop a schedule", s.change(func(ctx context.Context, id domain.ID, version int64) (domain.Schedule, error) {
		return s.store.SetEnabled(ctx, id, version, false)
	}))
	post("toggle", "Enable a disabled schedule, disable an enabled one", s.change(s.store.Toggle))
	register(api, huma.Operation{OperationID: "trigger-schedule", Method: http.MethodPost, Path: prefix + "/schedules/{id}/trigger", Summary: "Run a schedule now", DefaultStatus: http.StatusAccepted}, s.trigger)
}

type changeInput struct {
	ByID
	IfMatch
}

func (s *server) change(do func(context.Context, domain.ID, int64) (domain.Schedule, error)) func(context.Context, *changeInput) (*one, error) {
	return func(ctx context.Context, in *changeInput) (*one, error) {
		id, version, err := target(in.ByID, in.IfMatch)
		if err != nil {
			return nil, s.answer(err)
		}
		if _, err := do(ctx, id, version); err != nil {
			return nil, s.answer(err)
		}
		return s.read(ctx, id)
	}
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

func (s *server) trigger(ctx context.Context, in *ByID) (*triggered, error) {
	id, err := in.id()
	if err != nil {
		return nil, s.answer(err)
	}
	run, err := s.store.Trigger(ctx, id)
	if err != nil {
		return nil, s.answer(err)
	}
	out := &triggered{Location: prefix + "/tasks/" + run.String() + "/status"}
	out.Body.ScheduleID, out.Body.RunID, out.Body.TaskID, out.Body.Status = id, run, run, string(domain.Due)
	return out, nil
}
