package api

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/bulk"
	"github.com/tactus-dev/tactus/internal/catalog"
)

func (s *server) bulk(api huma.API) {
	const path = prefix + "/schedules/bulk"
	register(api, huma.Operation{
		OperationID: "change-many", Method: http.MethodPost, Path: path, Summary: "Change several schedules, by ids or by a filter",
		Description: "At most 100 in one request; go on with next_page_token. Each change is an event of its own, and one that is refused does not stop the others. With dry_run nothing is done, and the answer says of each whether it would be changed, or is refused. " +
			"disable names the operation in pause_group (made up unless group is given), and leaves alone what is off already: enable with the filter {\"pause_group\":GROUP} puts back exactly what it turned off.",
	}, s.changeMany)
	takes[bulkBody](api, path)
}

type bulkBody struct {
	Action     string           `json:"action" enum:"enable,disable,delete,trigger,retag,set"`
	IDs        []domain.ID      `json:"ids,omitempty" maxItems:"100" doc:"The schedules; or a filter."`
	Filter     *schedulesFilter `json:"filter,omitempty" doc:"{} chooses all."`
	DryRun     bool             `json:"dry_run,omitempty" doc:"Only say what would become of which."`
	PageToken  string           `json:"page_token,omitempty" doc:"The next_page_token of the answer before."`
	Reason     string           `json:"reason,omitempty" maxLength:"1000" doc:"Why: the events say so."`
	Until      string           `json:"until,omitempty" doc:"disable: when they are enabled again by themselves."`
	Group      string           `json:"group,omitempty" maxLength:"200" doc:"disable: the name of the operation. Send it again with page_token."`
	AddTags    []string         `json:"add_tags,omitempty" doc:"retag"`
	RemoveTags []string         `json:"remove_tags,omitempty" doc:"retag"`
	Set        json.RawMessage  `json:"set,omitempty" doc:"set: the members to change (JSON merge patch)."`
}

// schedulesFilter has the same members as the parameters of list-schedules.
type schedulesFilter struct {
	Enabled    *bool            `json:"enabled,omitempty"`
	Invalid    *bool            `json:"invalid,omitempty"`
	Category   string           `json:"category,omitempty"`
	Tags       []string         `json:"tag,omitempty"`
	Task       string           `json:"task_name,omitempty"`
	Name       string           `json:"name,omitempty"`
	Query      string           `json:"q,omitempty"`
	Queue      string           `json:"queue,omitempty"`
	Text       string           `json:"text,omitempty"`
	Owner      string           `json:"owner,omitempty"`
	LastStatus domain.RunStatus `json:"last_status,omitempty"`
	PauseGroup string           `json:"pause_group,omitempty"`
}

type bulkAnswer struct {
	Body struct {
		DryRun        bool          `json:"dry_run"`
		Action        string        `json:"action"`
		Group         string        `json:"group,omitempty" doc:"Of what was disabled."`
		Matched       int           `json:"matched" doc:"How many schedules this answer is about."`
		NextPageToken string        `json:"next_page_token" doc:"There may be more: send the request again with it as page_token. Empty when there are none."`
		Schedules     []bulkOutcome `json:"outcomes"`
	}
}

type bulkOutcome struct {
	ID      domain.ID  `json:"id"`
	Name    string     `json:"name,omitempty"`
	Outcome string     `json:"outcome" enum:"would,done,unchanged,refused"`
	Version int64      `json:"version,omitempty" doc:"Of the schedule, after the change."`
	RunID   *domain.ID `json:"run_id,omitempty" doc:"Of trigger: the run."`
	Code    string     `json:"code,omitempty" doc:"Why it was refused."`
	Error   string     `json:"error,omitempty"`
}

// request converts the body to a request of package bulk.
func (b bulkBody) request() bulk.Request {
	r := bulk.Request{
		Action: b.Action, IDs: b.IDs, PageToken: b.PageToken, DryRun: b.DryRun, Reason: b.Reason, Until: b.Until,
		Group: b.Group, AddTags: b.AddTags, RemoveTags: b.RemoveTags, Set: b.Set,
	}
	if f := b.Filter; f != nil {
		r.Filter = &catalog.Filter{
			Enabled: f.Enabled, Invalid: f.Invalid, Category: f.Category, Tags: f.Tags, Task: f.Task, Name: f.Name, Query: f.Query,
			Text: f.Text, Owner: f.Owner, Queue: f.Queue, LastStatus: f.LastStatus, PauseGroup: f.PauseGroup,
		}
	}
	return r
}

func (s *server) changeMany(ctx context.Context, in *struct{ body }) (*bulkAnswer, error) {
	var asked bulkBody
	err := bodyInto(in.RawBody, &asked)
	request := asked.request()
	if err == nil {
		err = request.Check()
	}
	if err != nil {
		return nil, s.answer(err)
	}
	done, err := bulk.Changer{Store: s.store, Catalog: s.catalog}.Change(because(ctx, asked.Reason), request)
	if err != nil {
		return nil, s.answer(err)
	}
	out := &bulkAnswer{}
	out.Body.DryRun, out.Body.Action, out.Body.Group = asked.DryRun, asked.Action, done.Group
	out.Body.Matched, out.Body.NextPageToken, out.Body.Schedules = len(done.Outcomes), done.Next, []bulkOutcome{}
	for _, one := range done.Outcomes {
		out.Body.Schedules = append(out.Body.Schedules, bulkOutcome(one))
	}
	return out, nil
}
