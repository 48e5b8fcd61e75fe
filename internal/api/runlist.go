package api

import (
	"cmp"
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/catalog"
)

func (s *server) runList(api huma.API) {
	register(api, huma.Operation{
		OperationID: "list-runs", Method: http.MethodGet, Path: prefix + "/runs", Summary: "The runs of all schedules, newest first",
		Description: "In the order of their due times. Go on behind a page with page_token=next_page_token until that is empty: a page looks at a " +
			"bounded number of runs, and may have chosen few of them, or none. Tags, tasks and queues are those that schedules have now; " +
			"by these the runs of deleted schedules are not found.",
	}, s.listRuns)
	register(api, huma.Operation{
		OperationID: "get-run", Method: http.MethodGet, Path: prefix + "/runs/{id}", Summary: "A run with everything that is known about it",
	}, s.getRun)
	register(api, huma.Operation{
		OperationID: "runs-summary", Method: http.MethodGet, Path: prefix + "/runs/summary", Summary: "Runs by state and hour, with the times they took",
		Description: "Covers the runs that were due in whole hours of UTC; unless given otherwise, in the last 24 of them. At most about 100000 runs are looked at, " +
			"10000 with task_name, tag or queue: of an hour with more than its share, the newest (cut).",
	}, s.summarizeRuns)
}

// RunChoice selects runs by parameters.
type RunChoice struct {
	Status   []string  `query:"status,explode" maxItems:"20" enum:"due,sent,started,retrying,succeeded,failed,revoked,expired,skipped,missed,unknown" doc:"Runs in this state; repeated: in any of these states."`
	Kind     string    `query:"kind" enum:"scheduled,manual,backfill"`
	Schedule string    `query:"schedule" doc:"Runs of the schedule with this id."`
	Task     string    `query:"task_name" maxLength:"200" doc:"The whole name of the schedule's task."`
	Tags     []string  `query:"tag,explode" maxItems:"50" doc:"Runs whose schedules have this tag; repeated: all of these tags."`
	Queue    string    `query:"queue" maxLength:"200" doc:"The queue that the schedule names, or its task's route does."`
	Worker   string    `query:"worker" maxLength:"200" doc:"The whole name of the worker."`
	Error    string    `query:"error" maxLength:"200" doc:"A part of the error, in either case."`
	DueFrom  time.Time `query:"due_from" doc:"Runs that were due at this time or later."`
	DueTo    time.Time `query:"due_to" doc:"Runs that were due before this time."`
}

func (in RunChoice) filter() (f catalog.RunFilter, err error) {
	f = catalog.RunFilter{
		Kind: domain.RunKind(in.Kind), Task: in.Task, Tags: in.Tags, Queue: in.Queue, Worker: in.Worker, Error: in.Error,
		DueFrom: timeOrNil(in.DueFrom), DueTo: timeOrNil(in.DueTo),
	}
	for _, status := range in.Status {
		f.Statuses = append(f.Statuses, domain.RunStatus(status))
	}
	if in.Schedule != "" {
		id, err := domain.ParseID(in.Schedule)
		if err != nil {
			return f, domain.ErrNotFound
		}
		f.Schedule = &id
	}
	return f, nil
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func (s *server) listRuns(ctx context.Context, in *struct {
	RunChoice
	FinishedFrom time.Time `query:"finished_from" doc:"Runs that finished at this time or later. Unless due_from is given, only runs that were due at most 7 days before it."`
	FinishedTo   time.Time `query:"finished_to" doc:"Runs that finished before this time."`
	PageSize     int       `query:"page_size" minimum:"1" maximum:"1000" default:"50"`
	PageToken    string    `query:"page_token" maxLength:"100" doc:"The next_page_token of the previous page."`
	IfNoneMatch
},
) (*listed[catalog.RunPage], error) {
	filter, err := in.filter()
	if err != nil {
		return nil, s.answer(err)
	}
	filter.FinishedFrom, filter.FinishedTo = timeOrNil(in.FinishedFrom), timeOrNil(in.FinishedTo)
	page, err := s.catalog.Runs(ctx, filter, catalog.Page{Size: in.PageSize, Token: in.PageToken})
	if err != nil {
		return nil, s.answer(err)
	}
	return list(in.IfNoneMatch, page), nil
}

// ByRun names a run.
type ByRun struct {
	ID string `path:"id" doc:"The run's id."`
}

func (b ByRun) id() (domain.ID, error) {
	id, err := domain.ParseID(b.ID)
	if err != nil {
		return id, domain.ErrRunNotFound
	}
	return id, nil
}

func (s *server) getRun(ctx context.Context, in *ByRun) (*struct{ Body catalog.RunDetail }, error) {
	id, err := in.id()
	if err != nil {
		return nil, s.answer(err)
	}
	run, err := s.catalog.RunDetail(ctx, id)
	if err != nil {
		return nil, s.answer(err)
	}
	run.InQueue(cmp.Or(s.workers.DefaultQueue, handover.DefaultQueue))
	return &struct{ Body catalog.RunDetail }{run}, nil
}

func (s *server) summarizeRuns(ctx context.Context, in *RunChoice) (*struct{ Body catalog.RunSummary }, error) {
	filter, err := in.filter()
	if err != nil {
		return nil, s.answer(err)
	}
	if filter.DueTo == nil {
		now := time.Now()
		filter.DueTo = &now
	}
	if filter.DueFrom == nil {
		dayBefore := filter.DueTo.Add(-24 * time.Hour)
		filter.DueFrom = &dayBefore
	}
	summary, err := s.catalog.RunSummary(ctx, filter)
	if err != nil {
		return nil, s.answer(err)
	}
	return &struct{ Body catalog.RunSummary }{summary}, nil
}
