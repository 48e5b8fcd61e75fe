package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/catalog"
)

func (s *server) runs(api huma.API) {
	register(api, huma.Operation{OperationID: "schedule-history", Method: http.MethodGet, Path: prefix + "/schedules/{id}/history", Summary: "The runs of a schedule, newest first", Description: "A page of more than 16 MiB is refused (page_too_large): ask for fewer at once."}, s.history)
	register(api, huma.Operation{OperationID: "task-status", Method: http.MethodGet, Path: prefix + "/tasks/{id}/status", Summary: "How far a run has come"}, s.task)
	register(api, huma.Operation{OperationID: "schedule-task-status", Method: http.MethodGet, Path: prefix + "/schedules/tasks/{id}/status", Summary: "The same as /tasks/{id}/status, for clients that ask here", Deprecated: true}, s.task)
}

type history struct {
	Body struct {
		History []catalog.Run `json:"history"`
		Total   int64         `json:"total" doc:"How many there are; 10000 when there are more."`
	}
}

func (s *server) history(ctx context.Context, in *struct {
	ByID
	Limit  int       `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	Offset int       `query:"offset" minimum:"0" maximum:"10000" doc:"Go further back with before."`
	Before time.Time `query:"before" doc:"Only runs that were due before this."`
},
) (*history, error) {
	id, err := in.id()
	if err != nil {
		return nil, s.answer(err)
	}
	var before *time.Time
	if !in.Before.IsZero() {
		before = &in.Before
	}
	runs, total, err := s.catalog.History(ctx, id, before, in.Limit, in.Offset)
	if err != nil {
		return nil, s.answer(err)
	}
	if total == 0 { // a deleted schedule keeps its history; an id that never existed has none
		if _, err := s.catalog.Get(ctx, id); err != nil {
			return nil, s.answer(err)
		}
	}
	out := &history{}
	out.Body.History, out.Body.Total = append([]catalog.Run{}, runs...), total
	return out, nil
}

func (s *server) task(ctx context.Context, in *struct {
	ID string `path:"id" doc:"The run's id."`
},
) (*struct{ Body catalog.Run }, error) {
	id, err := domain.ParseID(in.ID)
	if err != nil {
		return nil, s.answer(domain.ErrRunNotFound)
	}
	run, err := s.catalog.Run(ctx, id)
	if err != nil {
		return nil, s.answer(err)
	}
	return &struct{ Body catalog.Run }{run}, nil
}
