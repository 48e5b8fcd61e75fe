package api

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/catalog"
)

func (s *server) compare(api huma.API) {
	const path = prefix + "/schedules/compare"
	register(api, huma.Operation{
		OperationID: "compare-schedule", Method: http.MethodPost, Path: path,
		Summary:     "What putting a definition by its name would change, without storing it",
		Description: "The definition is judged as in PUT /schedules/by-name/{name}, and must have a name. Values are compared, not how they are written. One of an invalid schedule that is stored as it is, but for enabled, is not refused: invalid has its faults.",
	}, s.compareOne)
	takes[domain.Definition](api, path)
}

type comparison struct {
	Name    string                 `json:"name"`
	Outcome string                 `json:"outcome" enum:"create,change,same" doc:"What would become of the schedule of that name."`
	Changes []catalog.MemberChange `json:"changes" doc:"The members that would be others."`
	Invalid []fault                `json:"invalid,omitempty" doc:"Why the schedule is invalid as it stands: its definition would be refused, and is stored already."`
}

func (s *server) compareOne(ctx context.Context, in *struct{ body }) (*struct{ Body comparison }, error) {
	definition, err := s.decode(ctx, in.RawBody, false)
	if err == nil && definition.Name == "" {
		err = &domain.Error{Kind: domain.Invalid, Code: "name_invalid", Field: "/name", Message: "say the name of the schedule to compare with"}
	}
	if err != nil {
		return nil, s.answer(err)
	}
	before, after, refused := s.store.Compare(ctx, definition)
	faults := domain.FaultsOf(refused)
	if refused != nil && (faults == nil || after.Name == "") { // there is nothing to compare with
		return nil, s.answer(refused)
	}
	out := &struct{ Body comparison }{comparison{Name: after.Name, Outcome: "create"}}
	enabled := after.IsEnabled()
	after.Enabled = &enabled
	former, err := json.Marshal(before.Definition)
	if err != nil {
		return nil, s.answer(err)
	}
	latter, err := json.Marshal(after)
	if err != nil {
		return nil, s.answer(err)
	}
	out.Body.Changes = catalog.Differences(former, latter)
	if faults != nil {
		if slices.ContainsFunc(out.Body.Changes, func(m catalog.MemberChange) bool { return m.Member != "enabled" }) {
			return nil, s.answer(refused)
		}
		out.Body.Invalid = faultsOf(faults)
		before.InvalidReason = ""
	}
	switch {
	case before.ID == domain.ID{}:
	case len(out.Body.Changes) == 0 && before.InvalidReason == "":
		out.Body.Outcome = "same"
	default:
		out.Body.Outcome = "change"
	}
	return out, nil
}
