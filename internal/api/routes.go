package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/catalog"
	"github.com/tactus-dev/tactus/internal/importer"
	"github.com/tactus-dev/tactus/outbox"
)

func (s *server) routes(api huma.API) {
	register(api, huma.Operation{
		OperationID: "list-routes", Method: http.MethodGet, Path: prefix + "/routes", Summary: "Where tasks go whose schedules do not say so, by pattern",
	}, s.listRoutes)
	register(api, huma.Operation{
		OperationID: "put-route", Method: http.MethodPut, Path: prefix + "/routes/{pattern}", Summary: "Set the route of a task, or of all whose names match",
		Description: "At most 10,000 routes are kept, 1,000 of them patterns: what would be one more is refused with the code too_many_routes. moves tells which stored schedules are sent otherwise by this change, and how; with dry_run=true nothing else is done.",
	}, s.putRoute)
	takes[routeBody](api, prefix+"/routes/{pattern}")
	register(api, huma.Operation{
		OperationID: "delete-route", Method: http.MethodDelete, Path: prefix + "/routes/{pattern}", Summary: "Take a route away",
		Description: "moves tells which stored schedules are sent otherwise by this change, and how; with dry_run=true nothing else is done.",
	}, s.deleteRoute)
}

// routeBody is what a request says of a route.
type routeBody struct {
	domain.Route
	Source *string `json:"source,omitempty" doc:"The files that it comes from, as tactus apply --source names them: they may prune it. It stays as it is unless given; empty for none."`
}

type routesOutput struct {
	Body struct {
		Routes  []outbox.KeptRoute `json:"routes"`
		Total   int64              `json:"total"`
		Page    int                `json:"page"`
		PerPage int                `json:"per_page"`
	}
}

// routeSize is about how many bytes a route takes.
const routeSize = 256

func (s *server) listRoutes(ctx context.Context, in *struct {
	Page    int `query:"page" minimum:"1" maximum:"1000000" default:"1"`
	PerPage int `query:"per_page" minimum:"1" maximum:"1000" default:"50"`
},
) (*routesOutput, error) {
	all, total, err := s.store.PageOfRoutes(ctx, in.PerPage, (in.Page-1)*in.PerPage)
	if err != nil {
		return nil, s.answer(err)
	}
	if err := catalog.Hold(ctx, len(all)*routeSize); err != nil {
		return nil, s.answer(err)
	}
	out := &routesOutput{}
	out.Body.Routes = append([]outbox.KeptRoute{}, all...)
	out.Body.Total, out.Body.Page, out.Body.PerPage = total, in.Page, in.PerPage
	return out, nil
}

// ByPattern names a route.
type ByPattern struct {
	Pattern string `path:"pattern" doc:"The name of a task, or a pattern: * is any text, ? any character."`
}

// OnlyTell is the parameter of a dry run.
type OnlyTell struct {
	DryRun bool `query:"dry_run" doc:"Only tell what would move, and change nothing."`
}

type putRouteInput struct {
	ByPattern
	OnlyTell
	body
}

type routeOutput struct {
	Body struct {
		domain.Route
		importer.Moves
	}
}

// putRoute finds out which schedules a route moves before it writes the route, while the old routes are still stored.
func (s *server) putRoute(ctx context.Context, in *putRouteInput) (*routeOutput, error) {
	out := &routeOutput{}
	sent, err := decodeRoute(in.RawBody)
	r := sent.Route
	if err == nil {
		r.Pattern = in.Pattern
		err = domain.Join(domain.CheckSource(sent.Source), s.store.CheckRoute(ctx, r))
	}
	if err == nil {
		out.Body.Route = r
		out.Body.Moves, err = importer.Moved(ctx, s.pool, r.Pattern, &r, s.workers.DefaultQueue)
	}
	if err == nil && !in.DryRun {
		err = s.store.PutRoute(ctx, r, sent.Source)
	}
	if err != nil {
		return nil, s.answer(err)
	}
	return out, nil
}

// decodeRoute also accepts a route in the form of the API's answers.
func decodeRoute(raw []byte) (r routeBody, err error) {
	var sent struct {
		outbox.KeptRoute
		importer.Moves
		Source *string `json:"source"`
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&sent); err != nil {
		return r, &domain.Error{Kind: domain.Invalid, Code: "json_invalid", Message: fmt.Sprintf("want an object with the members of a route: %v", err)}
	}
	if sent.Source != nil && strings.HasPrefix(*sent.Source, importer.SourcePrefix) {
		sent.Source = nil // an answer that is carried back, perhaps with changes of which the import does not know
	}
	return routeBody{sent.Route, sent.Source}, nil
}

type deletedRoute struct {
	Body struct {
		Pattern string `json:"pattern"`
		importer.Moves
	}
}

func (s *server) deleteRoute(ctx context.Context, in *struct {
	ByPattern
	OnlyTell
},
) (out *deletedRoute, err error) {
	out = &deletedRoute{}
	out.Body.Pattern = in.Pattern
	if err = s.store.HasRoute(ctx, in.Pattern); err == nil {
		out.Body.Moves, err = importer.Moved(ctx, s.pool, in.Pattern, nil, s.workers.DefaultQueue)
	}
	if err == nil && !in.DryRun {
		err = s.store.DeleteRoute(ctx, in.Pattern)
	}
	if err != nil {
		return nil, s.answer(err)
	}
	return out, nil
}
