package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/catalog"
	"github.com/tactus-dev/tactus/outbox"
)

func (s *server) routes(api huma.API) {
	register(api, huma.Operation{
		OperationID: "list-routes", Method: http.MethodGet, Path: prefix + "/routes", Summary: "Where tasks go whose schedules do not say so, by pattern",
	}, s.listRoutes)
	register(api, huma.Operation{
		OperationID: "put-route", Method: http.MethodPut, Path: prefix + "/routes/{pattern}", Summary: "Set the route of a task, or of all whose names match",
		Description: "At most 10,000 routes are kept, 1,000 of them patterns: what would be one more is refused with the code too_many_routes.",
	}, s.putRoute)
	takes[domain.Route](api, prefix+"/routes/{pattern}", "Route")
	register(api, huma.Operation{
		OperationID: "delete-route", Method: http.MethodDelete, Path: prefix + "/routes/{pattern}", Summary: "Take a route away", DefaultStatus: http.StatusNoContent,
	}, s.deleteRoute)
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

// ByPattern chooses a route.
type ByPattern struct {
	Pattern string `path:"pattern" doc:"The name of a task, or a pattern: * is any text, ? any character."`
}

type putRouteInput struct {
	ByPattern
	body
}

type routeOutput struct{ Body domain.Route }

func (s *server) putRoute(ctx context.Context, in *putRouteInput) (*routeOutput, error) {
	r, err := decodeRoute(in.RawBody)
	if err == nil {
		r.Pattern = in.Pattern
		err = s.store.PutRoute(ctx, r, "")
	}
	if err != nil {
		return nil, s.answer(err)
	}
	return &routeOutput{Body: r}, nil
}

// decodeRoute also accepts a route in the form in which the API answers it.
func decodeRoute(raw []byte) (r domain.Route, err error) {
	var sent outbox.KeptRoute
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&sent); err != nil {
		return r, &domain.Error{Kind: domain.Invalid, Code: "json_invalid", Message: fmt.Sprintf("want an object with the members of a route: %v", err)}
	}
	return sent.Route, nil
}

func (s *server) deleteRoute(ctx context.Context, in *ByPattern) (*struct{}, error) {
	return nil, s.answer(s.store.DeleteRoute(ctx, in.Pattern))
}
