package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tactus-dev/tactus/domain"
)

func (s *server) due(api huma.API) {
	register(api, huma.Operation{OperationID: "schedule-next", Method: http.MethodGet, Path: prefix + "/schedules/{id}/next", Summary: "The next due times of a schedule"}, s.next)
	register(api, huma.Operation{OperationID: "preview-schedule", Method: http.MethodPost, Path: prefix + "/schedules/preview", Summary: "What a definition would do, without storing it"}, s.preview)
	register(api, huma.Operation{OperationID: "list-presets", Method: http.MethodGet, Path: prefix + "/schedules/presets", Summary: "The names that preset_name accepts"}, s.presets)
}

type dueTimes struct{ Body domain.Preview }

func (s *server) next(ctx context.Context, in *struct {
	ByID
	N int `query:"n" minimum:"1" maximum:"1000" default:"10"`
},
) (*dueTimes, error) {
	id, err := in.id()
	if err != nil {
		return nil, s.answer(err)
	}
	entry, err := s.catalog.Get(ctx, id)
	if err != nil {
		return nil, s.answer(err)
	}
	out := &dueTimes{}
	out.Body.DueTimes, out.Body.Warnings = []time.Time{}, append([]domain.Warning{}, entry.Warnings...)
	if !entry.IsEnabled() || entry.NextRunAt == nil {
		return out, nil
	}
	out.Body.DueTimes, err = entry.Upcoming(time.Now(), in.N)
	return out, s.answer(err)
}

// preview takes the members of a schedule, with after (RFC 3339, now unless given) and n (10).
func (s *server) preview(_ context.Context, in *struct{ body }) (*dueTimes, error) {
	request := struct {
		After *time.Time `json:"after"`
		N     *int       `json:"n"`
	}{}
	members := map[string]json.RawMessage{}
	if err := json.Unmarshal(in.RawBody, &members); err == nil {
		if err := json.Unmarshal(in.RawBody, &request); err != nil {
			return nil, s.answer(&domain.Error{Kind: domain.Invalid, Code: "type_invalid", Field: "/after", Message: "after is a time (RFC 3339), n a whole number"})
		}
		delete(members, "after")
		delete(members, "n")
		if in.RawBody, err = json.Marshal(members); err != nil {
			return nil, s.answer(err)
		}
	}
	definition, err := domain.Decode(in.RawBody)
	if err != nil {
		return nil, s.answer(err)
	}
	after, n := time.Now(), 10
	if request.After != nil {
		after = *request.After
	}
	if request.N != nil {
		n = *request.N
	}
	preview, err := definition.Preview(after, n, s.timezone)
	if err != nil {
		return nil, s.answer(err)
	}
	return &dueTimes{preview}, nil
}

func (s *server) presets(context.Context, *struct{}) (*struct {
	Body struct {
		Presets []domain.Preset `json:"presets"`
	}
}, error,
) {
	out := &struct {
		Body struct {
			Presets []domain.Preset `json:"presets"`
		}
	}{}
	out.Body.Presets = domain.Presets
	return out, nil
}
