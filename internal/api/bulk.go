package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/catalog"
	"github.com/tactus-dev/tactus/outbox"
)

// mostChanged is how many schedules one request changes: each is a transaction of its own.
const mostChanged = 100

// mostEmptyPages is how many pages of which nothing is chosen one request reads.
const mostEmptyPages = 10

func (s *server) bulk(api huma.API) {
	const path = prefix + "/schedules/bulk"
	register(api, huma.Operation{
		OperationID: "change-many", Method: http.MethodPost, Path: path, Summary: "Change several schedules, by ids or by a filter",
		Description: "At most 100 in one request; go on with next_page_token. Each change is an event of its own, and one that is refused does not stop the others. With dry_run nothing is done. " +
			"disable names the operation in pause_group (made up unless group is given), and leaves alone what is off already: enable with the filter {\"pause_group\":GROUP} puts back exactly what it turned off.",
	}, s.changeMany)
	takes[bulkBody](api, path, "ChangeMany")
}

type bulkBody struct {
	Action     string           `json:"action" enum:"enable,disable,delete,trigger,retag,set"`
	IDs        []domain.ID      `json:"ids,omitempty" maxItems:"100" doc:"The schedules; or a filter."`
	Filter     *schedulesFilter `json:"filter,omitempty" doc:"{} chooses all."`
	DryRun     bool             `json:"dry_run,omitempty" doc:"Only say which."`
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

// bulkActions do one thing with one schedule.
var bulkActions = map[string]func(*server, context.Context, domain.ID, bulkBody) (bulkOutcome, error){
	"enable": func(s *server, ctx context.Context, id domain.ID, asked bulkBody) (bulkOutcome, error) {
		return outcomeOf(ctx, s, id, func(ctx context.Context, id domain.ID) (domain.Schedule, error) {
			return s.store.SetEnabled(ctx, id, 0, true)
		})
	},
	"disable": func(s *server, ctx context.Context, id domain.ID, asked bulkBody) (bulkOutcome, error) {
		return outcomeOf(ctx, s, id, func(ctx context.Context, id domain.ID) (domain.Schedule, error) {
			before, err := s.store.Get(ctx, id)
			if err != nil || !before.IsEnabled() {
				return before, err
			}
			return s.store.Disable(ctx, id, before.Version, func(before domain.Schedule, now time.Time) (domain.Pause, error) {
				p, err := before.NewPause(asked.Reason, asked.Until, now)
				p.By, _ = outbox.ActorOf(ctx)
				p.Group = asked.Group
				return p, err
			})
		})
	},
	"delete": func(s *server, ctx context.Context, id domain.ID, _ bulkBody) (bulkOutcome, error) {
		return bulkOutcome{Outcome: "done"}, s.store.Delete(ctx, id, 0)
	},
	"trigger": func(s *server, ctx context.Context, id domain.ID, _ bulkBody) (bulkOutcome, error) {
		run, err := s.store.TriggerOnce(ctx, id, outbox.Manual{})
		return bulkOutcome{Outcome: "done", RunID: &run}, err
	},
	"retag": func(s *server, ctx context.Context, id domain.ID, asked bulkBody) (bulkOutcome, error) {
		return outcomeOf(ctx, s, id, func(ctx context.Context, id domain.ID) (domain.Schedule, error) {
			before, err := s.store.Get(ctx, id)
			if err != nil {
				return before, err
			}
			patch, err := json.Marshal(map[string][]string{"tags": retagged(before.Tags, asked)})
			if err != nil {
				return before, err
			}
			return s.store.Merge(ctx, id, before.Version, patch)
		})
	},
	"set": func(s *server, ctx context.Context, id domain.ID, asked bulkBody) (bulkOutcome, error) {
		return outcomeOf(ctx, s, id, func(ctx context.Context, id domain.ID) (domain.Schedule, error) {
			return s.store.Merge(ctx, id, 0, asked.Set)
		})
	},
}

// retagged returns tags without those that are removed, and with those that are added.
func retagged(tags []string, asked bulkBody) []string {
	left := slices.DeleteFunc(append([]string{}, tags...), func(tag string) bool { return slices.Contains(asked.RemoveTags, tag) })
	for _, tag := range asked.AddTags {
		if !slices.Contains(left, tag) {
			left = append(left, tag)
		}
	}
	return left
}

// outcomeOf changes a schedule, and tells whether that changed anything.
func outcomeOf(ctx context.Context, s *server, id domain.ID, change func(context.Context, domain.ID) (domain.Schedule, error)) (bulkOutcome, error) {
	before, err := s.store.Get(ctx, id)
	if err != nil {
		return bulkOutcome{}, err
	}
	after, err := change(ctx, id)
	done := bulkOutcome{Outcome: "done", Version: after.Version}
	if after.Version == before.Version {
		done.Outcome = "unchanged"
	}
	return done, err
}

// check returns all that is wrong with a request itself.
func (b bulkBody) check() error {
	invalid := func(field, format string, args ...any) error {
		return &domain.Error{Kind: domain.Invalid, Code: "choice_invalid", Field: field, Message: fmt.Sprintf(format, args...)}
	}
	switch {
	case bulkActions[b.Action] == nil:
		return invalid("/action", "%.50q: want enable, disable, delete, trigger, retag or set", b.Action)
	case (b.Filter == nil) == (len(b.IDs) == 0):
		return invalid("", "want either ids or a filter; {} as the filter chooses all")
	case len(b.IDs) > mostChanged:
		return invalid("/ids", "%d ids: at most %d in one request", len(b.IDs), mostChanged)
	case (b.Action == "retag") != (len(b.AddTags)+len(b.RemoveTags) > 0):
		return invalid("/add_tags", "add_tags and remove_tags belong to retag, which wants one of them")
	case (b.Action == "set") != (len(b.Set) > 0):
		return invalid("/set", "set has the members to change, and belongs to the action set")
	case b.Action != "disable" && (b.Until != "" || b.Group != ""):
		return invalid("/until", "until and group belong to disable")
	}
	return nil
}

func (s *server) changeMany(ctx context.Context, in *struct{ body }) (*bulkAnswer, error) {
	var asked bulkBody
	err := bodyInto(in.RawBody, &asked)
	if err == nil {
		err = asked.check()
	}
	if err != nil {
		return nil, s.answer(err)
	}
	ctx = because(ctx, asked.Reason)
	if asked.Action == "disable" && asked.Group == "" {
		asked.Group = outbox.NewID().String()
	}
	chosen, next, err := s.chosenSchedules(ctx, asked)
	if err != nil {
		return nil, s.answer(err)
	}
	out := &bulkAnswer{}
	out.Body.DryRun, out.Body.Action, out.Body.Group = asked.DryRun, asked.Action, asked.Group
	out.Body.Matched, out.Body.NextPageToken, out.Body.Schedules = len(chosen), next, []bulkOutcome{}
	for _, one := range chosen {
		done := bulkOutcome{Outcome: "would"}
		if !asked.DryRun {
			if done, err = bulkActions[asked.Action](s, ctx, one.ID, asked); err != nil {
				done = refusedOutcome(err)
			}
		}
		done.ID, done.Name = one.ID, one.Name
		out.Body.Schedules = append(out.Body.Schedules, done)
	}
	return out, nil
}

func refusedOutcome(err error) bulkOutcome {
	if faults := domain.FaultsOf(err); len(faults) > 0 {
		return bulkOutcome{Outcome: "refused", Code: faults[0].Code, Error: faults[0].Message}
	}
	return bulkOutcome{Outcome: "refused", Code: "unavailable", Error: "the database did not answer as it should: try again"}
}

// chosenSchedules returns the schedules that a body chooses, and where to go on.
func (s *server) chosenSchedules(ctx context.Context, asked bulkBody) (chosen []catalog.Choice, next string, err error) {
	if asked.Filter == nil {
		for _, id := range asked.IDs {
			chosen = append(chosen, catalog.Choice{ID: id})
		}
		return chosen, "", nil
	}
	f := *asked.Filter
	filter := catalog.Filter{
		Enabled: f.Enabled, Invalid: f.Invalid, Category: f.Category, Tags: f.Tags, Task: f.Task, Name: f.Name, Query: f.Query,
		Queue: f.Queue, LastStatus: f.LastStatus, PauseGroup: f.PauseGroup,
	}
	page := catalog.Page{Size: mostChanged, Token: asked.PageToken}
	for range mostEmptyPages {
		if chosen, next, err = s.catalog.Choose(ctx, filter, page); err != nil || len(chosen) > 0 || next == "" {
			break
		}
		page.Token = next
	}
	return chosen, next, err
}
