package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tactus-dev/tactus/domain"
)

func (s *server) due(api huma.API) {
	register(api, huma.Operation{OperationID: "schedule-next", Method: http.MethodGet, Path: prefix + "/schedules/{id}/next", Summary: "The next due times of a schedule"}, s.next)
	register(api, huma.Operation{OperationID: "preview-schedule", Method: http.MethodPost, Path: prefix + "/schedules/preview", Summary: "What a definition would do, without storing it"}, s.preview)
	takes[previewBody](api, prefix+"/schedules/preview")
	register(api, huma.Operation{OperationID: "list-presets", Method: http.MethodGet, Path: prefix + "/schedules/presets", Summary: "The names that preset_name accepts"}, s.presets)
}

// previewBody is a definition, and which of its due times are asked for.
type previewBody struct {
	domain.Definition
	After    *time.Time `json:"after,omitempty" doc:"Due times after this; now unless given."`
	N        int        `json:"n,omitempty" minimum:"1" maximum:"1000" doc:"How many; 10 unless given."`
	Language string     `json:"language,omitempty" enum:"en,ja" doc:"Of the description; en unless given."`
}

type dueTimes struct{ Body domain.Preview }

func (s *server) next(ctx context.Context, in *struct {
	ByID
	N        int       `query:"n" minimum:"1" maximum:"1000" default:"10"`
	After    time.Time `query:"after" doc:"Due times after this; now unless given."`
	Language string    `query:"language" enum:"en,ja" default:"en" doc:"Of the description."`
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
	ask := domain.Ask{After: in.After, N: in.N, Language: in.Language, Done: entry.Done}
	if ask.After.IsZero() {
		ask.After = time.Now()
	}
	preview, err := entry.Preview(ask)
	if err != nil && domain.FaultsOf(err) == nil { // changed by hand: repeating would not help
		err = &domain.Error{
			Kind: domain.Conflict, Code: domain.ErrScheduleInvalid.Code,
			Message: "the schedule is invalid and has no due times: " + cmp.Or(entry.InvalidReason, err.Error()) +
				": correct it first",
		}
	}
	if err != nil {
		return nil, s.answer(err)
	}
	if entry.NextRunAt == nil { // disabled, or all its runs are done
		preview.DueTimes, preview.FiresAt, preview.Marks = []time.Time{}, nil, []domain.Mark{}
	}
	return &dueTimes{preview}, nil
}

// preview reads the members of a schedule, and after (RFC 3339, default now), n (default 10) and language (default en).
func (s *server) preview(ctx context.Context, in *struct{ body }) (*dueTimes, error) {
	var preview domain.Preview
	var err error
	gone := s.bodies.judge(ctx, func() { preview, err = s.previewOf(ctx, in.RawBody) })
	if err := errors.Join(gone, err); err != nil {
		return nil, s.answer(err)
	}
	return &dueTimes{preview}, nil
}

func (s *server) previewOf(ctx context.Context, raw []byte) (domain.Preview, error) {
	ask, definition, asked := askOf(raw)
	d, err := domain.Decode(definition)
	sets, unknown := s.store.Sets(ctx, d)
	if unknown != nil && domain.FaultsOf(unknown) == nil {
		return domain.Preview{}, unknown
	}
	ask.Sets = sets
	p, refused := d.Preview(ask, s.timezone)
	return p, domain.Join(domain.Join(domain.Join(asked, err), refused), unknown)
}

// askOf splits a body into the members of the question and a definition. It returns a body that is not an object
// unchanged, so that decoding the definition refuses it.
func askOf(raw []byte) (ask domain.Ask, definition []byte, err error) {
	ask = domain.Ask{After: time.Now(), N: 10}
	members, err := domain.Members(raw)
	if err != nil {
		return ask, raw, nil
	}
	var faults domain.Faults
	for _, member := range []struct {
		name string
		into any
		want string
	}{{"after", &ask.After, "a time (RFC 3339)"}, {"n", &ask.N, "a whole number"}, {"language", &ask.Language, "a text"}} {
		text, ok := members[member.name]
		if !ok {
			continue
		}
		delete(members, member.name)
		if err := json.Unmarshal(text, member.into); err != nil {
			faults = append(faults, &domain.Error{Kind: domain.Invalid, Code: "type_invalid", Field: "/" + member.name, Message: "want " + member.want})
		}
	}
	if definition, err = json.Marshal(members); err != nil {
		return ask, nil, err
	}
	if len(faults) > 0 {
		return ask, definition, faults
	}
	return ask, definition, nil
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
