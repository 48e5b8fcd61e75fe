package api

import (
	"context"
	"fmt"
	"math"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/catalog"
	"github.com/tactus-dev/tactus/outbox"
)

func (s *server) changes(api huma.API) {
	register(api, huma.Operation{
		OperationID: "schedule-events", Method: http.MethodGet, Path: prefix + "/schedules/{id}/events",
		Summary:     "What each change of a schedule changed, newest first, with who made it and why",
		Description: "A deleted schedule keeps its history. Go on with before=next_before while that is not null.",
	}, s.scheduleEvents)
	const revert = prefix + "/schedules/{id}/revert"
	register(api, huma.Operation{
		OperationID: "revert-schedule", Method: http.MethodPost, Path: revert,
		Summary:     "Give a schedule the definition of a former version",
		Description: "That is a change like any other, which makes a new version. What a former version says may be past by now, or its name be taken: that is refused as in any change.",
	}, s.revert)
	takes[reversion](api, revert)
}

// reversion names the version to go back to.
type reversion struct {
	Version int64 `json:"version" minimum:"1" doc:"The version whose definition the schedule gets."`
}

type changesOutput struct {
	Body struct {
		Events     []catalog.VersionChange `json:"events"`
		NextBefore *int64                  `json:"next_before" doc:"Where the history goes on; null at its end."`
	}
}

func (s *server) scheduleEvents(ctx context.Context, in *struct {
	ByID
	Before int64 `query:"before" minimum:"1" doc:"Only changes that made an earlier version."`
	Limit  int   `query:"limit" minimum:"1" maximum:"200" default:"50"`
},
) (*changesOutput, error) {
	id, err := in.id()
	if err != nil {
		return nil, s.answer(err)
	}
	if in.Before == 0 {
		in.Before = math.MaxInt64
	}
	changes, more, err := s.catalog.Versions(ctx, id, in.Before, in.Limit)
	if err != nil {
		return nil, s.answer(err)
	}
	if len(changes) == 0 && in.Before == math.MaxInt64 { // a schedule whose events were pruned has none, either
		if _, err := s.catalog.Get(ctx, id); err != nil {
			return nil, s.answer(err)
		}
	}
	out := &changesOutput{}
	out.Body.Events = changes
	if more {
		out.Body.NextBefore = &changes[len(changes)-1].Version
	}
	return out, nil
}

func (s *server) revert(ctx context.Context, in *struct {
	ByID
	IfMatch
	body
},
) (*one, error) {
	id, version, err := target(in.ByID, in.IfMatch)
	if err != nil {
		return nil, s.answer(err)
	}
	var asked reversion
	if err := strictly(in.RawBody, &asked); err != nil {
		return nil, s.answer(err)
	}
	if asked.Version < 1 {
		return nil, s.answer(&domain.Error{
			Kind: domain.Invalid, Code: "version_missing", Field: "/version", Message: "say which version: 1 or more",
		})
	}
	if actor, reason := outbox.ActorOf(ctx); reason == "" {
		ctx = outbox.WithActor(ctx, actor, fmt.Sprintf("revert to version %d", asked.Version))
	}
	if _, err := s.store.Revert(ctx, id, version, asked.Version); err != nil {
		return nil, s.answer(err)
	}
	return s.read(ctx, id)
}
