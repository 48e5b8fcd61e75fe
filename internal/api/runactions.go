package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/access"
	"github.com/tactus-dev/tactus/internal/bulk"
	"github.com/tactus-dev/tactus/internal/catalog"
	"github.com/tactus-dev/tactus/internal/revoke"
)

// mostEmptyPages is how many pages without a match one request reads. Each examines up to 20,000 runs.
const mostEmptyPages = 2

func (s *server) runActions(api huma.API) {
	register(api, huma.Operation{
		OperationID: "rerun", Method: http.MethodPost, Path: prefix + "/runs/{id}/rerun", Summary: "Run the task of a run again",
		Description:   "A manual run of the same schedule, with the task, args and queue of that run, where the log still has them (task_of), and otherwise those of the schedule.",
		DefaultStatus: http.StatusAccepted,
	}, s.rerun)
	register(api, huma.Operation{
		OperationID: "cancel-run", Method: http.MethodPost, Path: prefix + "/runs/{id}/cancel", Summary: "Cancel a run",
		Description: "A run that is not handed over yet is settled as revoked. For any other unfinished run, the workers are told to revoke it, as Celery's " +
			"control does, and told again for an hour while it is open. One that runs goes on, unless the body is {\"terminate\":true}.",
		DefaultStatus: http.StatusAccepted,
	}, s.cancelRun)
	mayTake[cancelBody](api, prefix+"/runs/{id}/cancel")
	register(api, huma.Operation{
		OperationID: "rerun-many", Method: http.MethodPost, Path: prefix + "/runs/rerun", Summary: "Run the tasks of several runs again, by ids or by a filter",
		Description: "At most 100 in one request; go on with next_page_token. A filter must name states. A run whose task cannot run again does not stop the others. With dry_run nothing is done, and the answer says which would be refused, and why.",
	}, s.rerunMany)
	takes[runsBody](api, prefix+"/runs/rerun")
	register(api, huma.Operation{
		OperationID: "cancel-many", Method: http.MethodPost, Path: prefix + "/runs/cancel", Summary: "Cancel several runs, by ids or by a filter",
		Description: "At most 1000 in one request; go on with next_page_token. A filter without states selects unfinished runs. With dry_run nothing is done, and the answer says which would be refused, and why.",
	}, s.cancelMany)
	takes[runsBody](api, prefix+"/runs/cancel")
}

type cancelBody struct {
	Terminate bool `json:"terminate,omitempty" doc:"Kill tasks that are running already."`
}

// runsBody selects runs, and says what to do with them.
type runsBody struct {
	IDs       []domain.ID `json:"ids,omitempty" maxItems:"1000" doc:"The runs. Give either these or a filter."`
	Filter    *runsFilter `json:"filter,omitempty"`
	DryRun    bool        `json:"dry_run,omitempty" doc:"Only say what would become of which runs."`
	PageToken string      `json:"page_token,omitempty" doc:"The next_page_token of the answer before."`
	Terminate bool        `json:"terminate,omitempty" doc:"For cancel: kill tasks that are running already."`
}

// runsFilter has the same members as the parameters of list-runs.
type runsFilter struct {
	Status       []domain.RunStatus `json:"status,omitempty"`
	Kind         domain.RunKind     `json:"kind,omitempty"`
	Schedule     *domain.ID         `json:"schedule,omitempty"`
	Task         string             `json:"task_name,omitempty"`
	Tags         []string           `json:"tag,omitempty"`
	Queue        string             `json:"queue,omitempty"`
	Worker       string             `json:"worker,omitempty"`
	Error        string             `json:"error,omitempty"`
	DueFrom      *time.Time         `json:"due_from,omitempty"`
	DueTo        *time.Time         `json:"due_to,omitempty"`
	FinishedFrom *time.Time         `json:"finished_from,omitempty"`
	FinishedTo   *time.Time         `json:"finished_to,omitempty"`
}

// bodyInto decodes a body strictly. An empty body leaves to unchanged.
func bodyInto(raw []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("there is more behind the object")
		}
	}
	if err == nil || errors.Is(err, io.EOF) {
		return nil
	}
	return &domain.Error{Kind: domain.Invalid, Code: "json_invalid", Message: fmt.Sprintf("want an object with the members that /openapi.json names: %v", err)}
}

type rerunAnswer struct {
	Location string `header:"Location"`
	Body     rerunOutcome
}

type rerunOutcome struct {
	ID     domain.ID  `json:"id" doc:"The run whose task runs again."`
	RunID  *domain.ID `json:"run_id,omitempty" doc:"The new run."`
	TaskOf string     `json:"task_of,omitempty" enum:"run,schedule" doc:"Whose task, args and queue the new run has: those of the run, or of the schedule now."`
	Code   string     `json:"code,omitempty" doc:"Why there is no new run, also where a dry run would make none."`
	Error  string     `json:"error,omitempty"`
}

func (s *server) rerun(ctx context.Context, in *struct {
	ByRun
	Once
},
) (*rerunAnswer, error) {
	id, err := in.id()
	if err != nil {
		return nil, s.answer(err)
	}
	done, err := s.runAgain(ctx, id, in.Key)
	if err != nil {
		return nil, s.answer(err)
	}
	return &rerunAnswer{Location: prefix + "/runs/" + done.RunID.String(), Body: done}, nil
}

// runAgain creates a run with the task of another run.
func (s *server) runAgain(ctx context.Context, id domain.ID, key string) (rerunOutcome, error) {
	again, err := bulk.Changer{Store: s.store, Catalog: s.catalog}.Rerun(ctx, id, key)
	return rerunOutcome{ID: id, RunID: &again.RunID, TaskOf: again.TaskOf}, err
}

func (s *server) cancelRun(ctx context.Context, in *struct {
	ByRun
	body
},
) (*struct{ Body revoke.Cancelled }, error) {
	id, err := in.id()
	var asked cancelBody
	if err == nil {
		_, err = s.catalog.Run(ctx, id)
	}
	if err == nil {
		err = bodyInto(in.RawBody, &asked)
	}
	if err != nil {
		return nil, s.answer(err)
	}
	done, err := revoke.Cancel(ctx, s.pool, orderOf(ctx, []domain.ID{id}, asked.Terminate))
	if err != nil {
		return nil, s.answer(err)
	}
	switch outcome := done[0].Outcome; outcome {
	case revoke.NotFound:
		return nil, s.answer(domain.ErrRunNotFound)
	case revoke.Finished, revoke.Stream, revoke.Locked:
		return nil, s.answer(&domain.Error{Kind: domain.Conflict, Code: "run_" + string(outcome), Message: notCancelled[outcome]})
	}
	return &struct{ Body revoke.Cancelled }{done[0]}, nil
}

var notCancelled = map[revoke.Outcome]string{
	revoke.Finished: "the run has ended: there is nothing to cancel",
	revoke.Stream:   "the run was handed over to a stream, whose reader nobody can tell",
	revoke.Locked:   "another transaction writes to the run just now: try again",
}

// manyRuns is the response to an action on several runs.
type manyRuns[T any] struct {
	Body struct {
		DryRun        bool   `json:"dry_run"`
		Matched       int    `json:"matched" doc:"How many runs this answer is about."`
		NextPageToken string `json:"next_page_token" doc:"There may be more: send the request again with it as page_token. Empty when there are none."`
		Runs          []T    `json:"runs"`
	}
}

// chosen returns at most most of the runs that a body selects, and the token of the next part.
func (s *server) chosen(ctx context.Context, asked runsBody, most int) (ids []domain.ID, next string, err error) {
	switch {
	case len(asked.IDs) > most:
		return nil, "", &domain.Error{Kind: domain.Invalid, Code: "out_of_range", Field: "/ids", Message: fmt.Sprintf("%d ids: at most %d in one request", len(asked.IDs), most)}
	case (asked.Filter == nil) == (len(asked.IDs) == 0):
		return nil, "", &domain.Error{Kind: domain.Invalid, Code: "choice_missing", Message: "want either ids or a filter"}
	case asked.Filter == nil:
		return asked.IDs, "", s.catalog.MayReadRuns(ctx, asked.IDs)
	}
	f := *asked.Filter
	filter := catalog.RunFilter{
		Statuses: f.Status, Kind: f.Kind, Schedule: f.Schedule, Task: f.Task, Tags: f.Tags, Queue: f.Queue, Worker: f.Worker, Error: f.Error,
		DueFrom: f.DueFrom, DueTo: f.DueTo, FinishedFrom: f.FinishedFrom, FinishedTo: f.FinishedTo,
	}
	page := catalog.Page{Size: most, Token: asked.PageToken}
	for range mostEmptyPages {
		found, err := s.catalog.Runs(ctx, filter, page)
		if err != nil {
			return nil, "", err
		}
		for _, run := range found.Runs {
			ids = append(ids, run.ID)
		}
		if page.Token = found.NextPageToken; len(ids) > 0 || page.Token == "" {
			break
		}
	}
	return ids, page.Token, nil
}

func (s *server) rerunMany(ctx context.Context, in *struct{ body }) (*manyRuns[rerunOutcome], error) {
	var asked runsBody
	err := bodyInto(in.RawBody, &asked)
	if err == nil && asked.Filter != nil && len(asked.Filter.Status) == 0 {
		err = &domain.Error{Kind: domain.Invalid, Code: "choice_missing", Field: "/filter/status", Message: `name the states of what is to run again, such as ["failed"]`}
	}
	if err != nil {
		return nil, s.answer(err)
	}
	ids, next, err := s.chosen(ctx, asked, bulk.MostRerun)
	if err != nil {
		return nil, s.answer(err)
	}
	out := &manyRuns[rerunOutcome]{}
	out.Body.DryRun, out.Body.Matched, out.Body.NextPageToken, out.Body.Runs = asked.DryRun, len(ids), next, []rerunOutcome{}
	if asked.DryRun {
		ctx = s.store.Rehearsal(ctx)
	}
	for _, id := range ids {
		done, err := s.runAgain(ctx, id, "")
		if err != nil {
			done = rerunOutcome{ID: id, Code: "unavailable", Error: err.Error()}
			if faults := domain.FaultsOf(err); len(faults) > 0 {
				done.Code, done.Error = faults[0].Code, faults[0].Message
			}
		}
		if asked.DryRun {
			done.RunID = nil
		}
		out.Body.Runs = append(out.Body.Runs, done)
	}
	return out, nil
}

// unfinished are the states of runs that may be cancelled.
var unfinished = []domain.RunStatus{domain.Due, domain.Sent, domain.Started, domain.Retrying}

func (s *server) cancelMany(ctx context.Context, in *struct{ body }) (*manyRuns[revoke.Cancelled], error) {
	var asked runsBody
	if err := bodyInto(in.RawBody, &asked); err != nil {
		return nil, s.answer(err)
	}
	if asked.Filter != nil && len(asked.Filter.Status) == 0 {
		asked.Filter.Status = unfinished
	}
	ids, next, err := s.chosen(ctx, asked, revoke.MaxCancelled)
	if err != nil {
		return nil, s.answer(err)
	}
	out := &manyRuns[revoke.Cancelled]{}
	out.Body.DryRun, out.Body.Matched, out.Body.NextPageToken = asked.DryRun, len(ids), next
	out.Body.Runs = []revoke.Cancelled{}
	order := orderOf(ctx, ids, asked.Terminate)
	order.DryRun = asked.DryRun
	done, err := revoke.Cancel(ctx, s.pool, order)
	if err != nil {
		return nil, s.answer(err)
	}
	out.Body.Runs = append(out.Body.Runs, done...)
	return out, nil
}

// orderOf returns the order to cancel runs in the name of the request's principal.
func orderOf(ctx context.Context, ids []domain.ID, terminate bool) revoke.Order {
	scope := access.From(ctx).Scope
	return revoke.Order{IDs: ids, Terminate: terminate, ScopeTags: scope.Tags(), ScopeNames: scope.Prefixes()}
}
