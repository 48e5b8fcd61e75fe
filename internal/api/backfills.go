package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/catalog"
	"github.com/tactus-dev/tactus/internal/revoke"
)

func (s *server) backfills(api huma.API) {
	const of, one = prefix + "/schedules/{id}/backfill", prefix + "/backfills/{id}"
	register(api, huma.Operation{
		OperationID: "backfill-schedule", Method: http.MethodPost, Path: of, Summary: "Run a schedule for due times of the past",
		Description: "The due times are those of the trigger that the schedule has now, at most 10000. What ran already is left out, unless again is true, and so is what was " +
			"skipped by hand or is excluded by calendars. The leading beat makes the runs while nothing is due, at most max_active of them unfinished at a time, with the " +
			"task that the schedule has by then. With dry_run nothing is done, and the answer is 200.",
		DefaultStatus: http.StatusAccepted,
	}, s.backfill)
	takes[domain.BackfillRequest](api, of)
	register(api, huma.Operation{
		OperationID: "list-backfills", Method: http.MethodGet, Path: of + "s", Summary: "The backfills of a schedule, newest first",
		Description: "Go on with before=next_before until that is empty.",
	}, s.listBackfills)
	register(api, huma.Operation{
		OperationID: "get-backfill", Method: http.MethodGet, Path: one, Summary: "How far a backfill is",
	}, s.getBackfill)
	register(api, huma.Operation{
		OperationID: "cancel-backfill", Method: http.MethodPost, Path: one + "/cancel", Summary: "Have a backfill make no further runs",
		Description: "Its unfinished runs go on, unless the body is {\"runs\":true}, which cancels them, too.",
	}, s.cancelBackfill)
	mayTake[backfillCancellation](api, one+"/cancel")
}

// mostShown is how many due times an answer to a dry run lists.
const mostShown = 100

// backfillAnswer is a backfill, or what one would be.
type backfillAnswer struct {
	Status   int
	Location string `header:"Location"`
	Body     struct {
		DryRun   bool           `json:"dry_run"`
		ID       *domain.ID     `json:"id,omitempty" doc:"Of the backfill; none with dry_run."`
		From     time.Time      `json:"from"`
		To       time.Time      `json:"to"`
		Policy   string         `json:"execution_policy" enum:"allow,queue"`
		Order    string         `json:"order" enum:"oldest_first,newest_first"`
		Active   int            `json:"max_active"`
		Again    bool           `json:"again"`
		Total    int            `json:"total" doc:"How many run."`
		First    []time.Time    `json:"first_due_times" doc:"Up to 100 of them, in the order in which they run; with dry_run alone."`
		LeftOut  domain.LeftOut `json:"left_out" doc:"How many due times of the range do not run, and why."`
		Excluded []time.Time    `json:"excluded_due_times" doc:"Up to 50 of those that calendars exclude; with dry_run alone."`
	}
}

func (s *server) backfill(ctx context.Context, in *struct {
	ByID
	Once
	body
},
) (*backfillAnswer, error) {
	id, err := in.id()
	if err != nil {
		return nil, s.answer(err)
	}
	if _, err := s.store.Get(ctx, id); err != nil { // before the body is judged
		return nil, s.answer(err)
	}
	var asked domain.BackfillRequest
	unread := domain.DecodeInto(in.RawBody, &asked)
	asked.DryRun = asked.DryRun || unread != nil // it is only looked for further faults
	made, plan, err := s.store.Backfill(ctx, id, asked, s.keepRuns, in.Key)
	if err := domain.Join(unread, err); err != nil {
		return nil, s.answer(err)
	}
	out := &backfillAnswer{Status: http.StatusOK}
	if asked.DryRun {
		out.plan(plan)
		return out, nil
	}
	f, err := s.catalog.Backfill(ctx, made) // the plan of a repeated request is not known
	if err != nil {
		return nil, s.answer(err)
	}
	out.Status, out.Location = http.StatusAccepted, prefix+"/backfills/"+made.String()
	b := &out.Body
	b.ID, b.From, b.To, b.Policy, b.Order, b.Active, b.Again = &made, f.From, f.To, f.Policy, f.Order, f.MaxActive, f.Again
	b.Total, b.LeftOut, b.First, b.Excluded = f.Total, f.LeftOut, []time.Time{}, []time.Time{}
	return out, nil
}

// plan fills the answer in for a dry run.
func (a *backfillAnswer) plan(p domain.BackfillPlan) {
	b := &a.Body
	b.DryRun, b.From, b.To, b.Policy, b.Order, b.Active, b.Again = true, p.From, p.To, p.ExecutionPolicy, p.Order, p.MaxActive, p.Again
	b.Total, b.LeftOut = len(p.DueTimes), p.LeftOut
	b.First = append([]time.Time{}, p.DueTimes[:min(len(p.DueTimes), mostShown)]...)
	b.Excluded = append([]time.Time{}, p.Excluded...)
}

type backfillsOutput struct {
	Body struct {
		Backfills  []catalog.Backfill `json:"backfills"`
		NextBefore string             `json:"next_before" doc:"Where the list goes on; empty at its end."`
	}
}

func (s *server) listBackfills(ctx context.Context, in *struct {
	ByID
	Before string `query:"before" doc:"Only backfills that were asked for before the one with this id."`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
},
) (*backfillsOutput, error) {
	id, err := in.id()
	if err != nil {
		return nil, s.answer(err)
	}
	before := catalog.LastBackfill
	if in.Before != "" {
		if before, err = domain.ParseID(in.Before); err != nil {
			return nil, s.answer(&domain.Error{Kind: domain.Invalid, Code: "type_invalid", Field: "before", Message: "want the id of a backfill"})
		}
	}
	found, more, err := s.catalog.Backfills(ctx, id, before, in.Limit)
	if err != nil {
		return nil, s.answer(err)
	}
	if len(found) == 0 { // a deleted schedule keeps its backfills; an id that never existed has none
		if _, err := s.catalog.Get(ctx, id); err != nil {
			return nil, s.answer(err)
		}
	}
	out := &backfillsOutput{}
	if out.Body.Backfills = found; more {
		out.Body.NextBefore = found[len(found)-1].ID.String()
	}
	return out, nil
}

// ByBackfill names a backfill.
type ByBackfill struct {
	ID string `path:"id" doc:"The backfill's id."`
}

func (b ByBackfill) id() (domain.ID, error) {
	id, err := domain.ParseID(b.ID)
	if err != nil {
		return domain.ID{}, domain.ErrBackfillNotFound
	}
	return id, nil
}

func (s *server) getBackfill(ctx context.Context, in *struct{ ByBackfill }) (*struct{ Body catalog.Backfill }, error) {
	id, err := in.id()
	if err != nil {
		return nil, s.answer(err)
	}
	f, err := s.catalog.Backfill(ctx, id)
	if err != nil {
		return nil, s.answer(err)
	}
	return &struct{ Body catalog.Backfill }{f}, nil
}

type backfillCancellation struct {
	Runs      bool   `json:"runs,omitempty" doc:"Cancel its unfinished runs, too."`
	Terminate bool   `json:"terminate,omitempty" doc:"With runs: kill what runs."`
	Reason    string `json:"reason,omitempty" maxLength:"1000" doc:"Why."`
}

func (s *server) cancelBackfill(ctx context.Context, in *struct {
	ByBackfill
	body
},
) (*struct{ Body catalog.Backfill }, error) {
	id, err := in.id()
	if err != nil {
		return nil, s.answer(err)
	}
	f, err := s.catalog.Backfill(ctx, id)
	if err != nil {
		return nil, s.answer(err)
	}
	var asked backfillCancellation
	if err := domain.DecodeInto(in.RawBody, &asked); err != nil {
		return nil, s.answer(err)
	}
	cancelled, err := s.store.CancelBackfill(because(ctx, asked.Reason), id)
	if err == nil && !cancelled && !asked.Runs {
		err = &domain.Error{Kind: domain.Conflict, Code: "backfill_ended", Message: "the backfill has ended (" + f.State + "): there is nothing to cancel"}
	}
	if err == nil && asked.Runs {
		var open []domain.ID
		if open, err = s.catalog.OpenRuns(ctx, id); err == nil && len(open) > 0 {
			_, err = revoke.Cancel(ctx, s.pool, orderOf(ctx, open, asked.Terminate))
		}
	}
	if err != nil {
		return nil, s.answer(err)
	}
	return s.getBackfill(ctx, &struct{ ByBackfill }{in.ByBackfill})
}
