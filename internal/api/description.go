package api

import (
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tactus-dev/tactus/domain"
)

// described serves the description of the API, in two versions of OpenAPI, each as JSON and as YAML. Each is made once.
// The framework's own handlers make it without a lock, so two first requests at once would be a data race.
func described(mux *http.ServeMux, document *huma.OpenAPI) {
	for address, d := range map[string]struct {
		contentType string
		make        func() ([]byte, error)
	}{
		"/openapi.json":     {"application/openapi+json", func() ([]byte, error) { return json.Marshal(document) }},
		"/openapi.yaml":     {"application/openapi+yaml", document.YAML},
		"/openapi-3.0.json": {"application/openapi+json", document.Downgrade},
		"/openapi-3.0.yaml": {"application/openapi+yaml", document.DowngradeYAML},
	} {
		made := sync.OnceValues(d.make)
		mux.HandleFunc("GET "+address, func(w http.ResponseWriter, r *http.Request) {
			text, err := made()
			if err != nil {
				writeProblem(w, http.StatusInternalServerError)
				return
			}
			w.Header().Set("Content-Type", d.contentType)
			_, _ = w.Write(text) // the client may be gone
		})
	}
}

// Description returns the description of the API (OpenAPI 3.1) as JSON.
var Description = sync.OnceValues(func() ([]byte, error) {
	_, document := (&server{bodies: newJudges(nil)}).register() // this server answers no requests
	return json.Marshal(document)
})

// about is the description's text about the API as a whole.
const about = "Schedules, their runs, and the log of what changed. An error is a problem document (RFC 9457), which has all faults of the " +
	"request; a request that is answered with an error has changed nothing. Why something is changed may be said in the header X-Tactus-Reason."

// rooms are the groups of operations, by the beginning of their paths; the longest match counts.
var rooms = []struct{ under, name, about string }{
	{prefix + "/schedules", "schedules", "What to run, when, and under which policies."},
	{prefix + "/runs", "runs", "What became of due times, across all schedules."},
	{prefix + "/tasks", "runs", ""},
	{prefix + "/upcoming", "schedules", ""},
	{prefix + "/backfills", "schedules", ""},
	{prefix + "/calendars", "calendars", "Days and ranges by which schedules are kept from firing."},
	{prefix + "/notification-rules", "notifications", "Who is told what of which schedules."},
	{prefix + "/routes", "routes", "Where tasks go whose schedules do not say so."},
	{prefix + "/events", "events", "The log of all changes."},
	{prefix + "/keys", "access", "Who may call, and what they may do."},
	{prefix + "/whoami", "access", ""},
}

// schemaNames has the names of schemas that differ from those of their types. Generators name types after them.
var schemaNames = map[string]string{
	"Entry": "Schedule", "Page": "SchedulePage", "Definition": "ScheduleDefinition", "ChangedBody": "ChangedSchedule",
	"PauseBody": "Pause", "SkipBody": "Skip", "TriggeredBody": "Triggered", "HistoryBody": "History", "ChangesOutputBody": "ScheduleHistory",
	"List-presetsResponse": "PresetList", "PreviewBody": "PreviewRequest",
	"BulkBody": "BulkRequest", "BulkAnswerBody": "BulkAnswer", "SchedulesFilter": "ScheduleFilter",
	"RunsBody": "ManyRuns", "RunsFilter": "RunFilter", "CancelBody": "Cancellation", "Cancelled": "CancelledRun",
	"ManyRunsCancelledBody": "CancelledRuns", "ManyRunsRerunOutcomeBody": "RerunRuns", "RerunOutcome": "RerunRun",
	"CalendarBody": "CalendarDefinition", "CalendarAnswer": "Calendar", "CalendarsOutputBody": "CalendarList", "Item": "CalendarItem",
	"RuleBody": "NotificationRuleDefinition", "RuleAnswer": "NotificationRule", "Rule": "NotificationRuleListed", "RulesOutputBody": "NotificationRuleList",
	"Progress": "NotificationProgress", "Tested": "NotificationTest", "RouteBody": "RouteDefinition", "KeptRoute": "Route", "RoutesOutputBody": "RouteList", "RouteOutputBody": "ChangedRoute", "DeletedRouteBody": "DeletedRoute",
	"BackfillAnswerBody": "BegunBackfill", "BackfillsOutputBody": "BackfillList",
	"KeyInfo": "Key", "KeysOutputBody": "KeyList", "Rotation": "KeyRotation",
}

// complete adds to the description what the framework does not derive from types.
func complete(document *huma.OpenAPI) {
	document.Info.Description = about
	document.Info.License = &huma.License{Name: "Apache-2.0", URL: "https://www.apache.org/licenses/LICENSE-2.0"}
	document.Servers = []*huma.Server{{URL: "/", Description: "The server that sent this description."}}
	for _, room := range rooms {
		if room.about != "" {
			document.Tags = append(document.Tags, &huma.Tag{Name: room.name, Description: room.about})
		}
	}
	schemas := document.Components.Schemas.Map()
	for _, schema := range schemas {
		typed(schema)
	}
	schemas["ScheduleDefinition"].Required = []string{"task_name"}
	for name, schema := range schemas {
		worded(schema, schemas["ScheduleDefinition"])
		schema.Required = append(schema.Required, always[name]...)
		slices.Sort(schema.Required)
		schema.Required = slices.Compact(schema.Required)
	}
	worded(schemas["NotificationRuleDefinition"], schemas["NotificationRule"])
	schemas["CalendarItem"] = dayOr(schemas["CalendarItem"])
	schemas["SchedulePatch"] = patchOf(schemas["ScheduleDefinition"])
	for path, item := range document.Paths {
		for _, op := range operationsOf(item) {
			op.Tags = []string{roomOf(path)}
			answers(op)
		}
	}
	open(document)
	exemplified(document)
}

// always are members of answers that are never absent, although their types say omitempty, because requests may leave
// them out.
var always = map[string][]string{
	"Schedule":               {"name", "enabled", "created_at", "updated_at"},
	"ChangedSchedule":        {"name", "enabled", "created_at", "updated_at"},
	"Calendar":               {"name", "created_at", "updated_at"},
	"Route":                  {"pattern"},
	"NotificationRule":       {"name", "created_at", "updated_at"},
	"NotificationRuleListed": {"name", "created_at", "updated_at"},
	"ChangedRoute":           {"pattern"},
}

func operationsOf(item *huma.PathItem) (all []*huma.Operation) {
	for _, op := range []*huma.Operation{item.Get, item.Post, item.Put, item.Patch, item.Delete} {
		if op != nil {
			all = append(all, op)
		}
	}
	return all
}

func roomOf(path string) (name string) {
	for _, room := range rooms {
		if under(path, room.under) {
			name = room.name
		}
	}
	return name
}

// typed sets the types of members that hold the user's own JSON.
func typed(schema *huma.Schema) {
	for name, member := range schema.Properties {
		if member.Type != "" || member.Ref != "" {
			continue
		}
		switch name {
		case "args":
			member.Type, member.Items = huma.TypeArray, &huma.Schema{}
		case "kwargs", "task_params", "set":
			member.Type, member.AdditionalProperties = huma.TypeObject, true
		}
	}
}

// worded gives members without a description that of the member of the same name in a definition.
func worded(schema, definition *huma.Schema) {
	for name, member := range schema.Properties {
		if member.Ref != "" && member.Description != "" { // OpenAPI 3.0 ignores what stands beside a reference
			schema.Properties[name] = &huma.Schema{Description: member.Description, AllOf: []*huma.Schema{{Ref: member.Ref}}}
		}
		if said := definition.Properties[name]; said != nil && member.Description == "" && member.Ref == "" {
			member.Description = said.Description
		}
	}
}

// dayOr returns the schema of either a day as a text, or an object.
func dayOr(object *huma.Schema) *huma.Schema {
	return &huma.Schema{
		Description: "A day, such as \"2041-01-01\", or a range.",
		OneOf:       []*huma.Schema{{Type: huma.TypeString, Examples: []any{"2041-01-01"}}, object},
	}
}

// patchOf returns the schema of a merge patch for documents of a schema: no member is required, and null removes one.
func patchOf(of *huma.Schema) *huma.Schema {
	patch := *of
	patch.Description = "The members to change. null puts a member back to its default."
	patch.Required, patch.Properties = nil, map[string]*huma.Schema{}
	for name, member := range of.Properties {
		if member.ReadOnly {
			continue
		}
		nullable := *member
		nullable.Nullable = true
		if len(nullable.Enum) > 0 {
			nullable.Enum = append(slices.Clone(nullable.Enum), nil)
		}
		patch.Properties[name] = &nullable
	}
	return &patch
}

// answers adds the answers of an operation that the framework does not see.
func answers(op *huma.Operation) {
	made := op.Responses["200"]
	if made != nil && (op.OperationID == "put-schedule-by-name" || op.OperationID == "put-calendar" || op.OperationID == "put-notification-rule") {
		created := *made
		created.Description = http.StatusText(http.StatusCreated)
		op.Responses["201"] = &created
	}
	for _, parameter := range op.Parameters {
		if parameter.Name == "If-None-Match" {
			op.Responses["304"] = &huma.Response{Description: http.StatusText(http.StatusNotModified), Headers: made.Headers}
		}
	}
	if op.RequestBody != nil {
		for _, status := range []int{http.StatusRequestTimeout, http.StatusRequestEntityTooLarge} {
			problem := *op.Responses["400"]
			problem.Description = http.StatusText(status)
			op.Responses[strconv.Itoa(status)] = &problem
		}
	}
}

// open allows unknown members in answers, because a newer server may send them. Requests may not have any.
func open(document *huma.OpenAPI) {
	schemas := document.Components.Schemas.Map()
	closed := map[string]bool{}
	var mark func(*huma.Schema)
	mark = func(s *huma.Schema) {
		if s == nil {
			return
		}
		if name := strings.TrimPrefix(s.Ref, "#/components/schemas/"); s.Ref != "" && !closed[name] {
			closed[name] = true
			mark(schemas[name])
		}
		mark(s.Items)
		for _, inner := range slices.Concat(s.OneOf, s.AllOf, slices.Collect(maps.Values(s.Properties))) {
			mark(inner)
		}
	}
	for _, item := range document.Paths {
		for _, op := range operationsOf(item) {
			if op.RequestBody != nil {
				mark(op.RequestBody.Content["application/json"].Schema)
			}
		}
	}
	for name, schema := range schemas {
		if !closed[name] && schema.AdditionalProperties == false {
			schema.AdditionalProperties = nil
		}
	}
}

// takes describes the bodies of requests to an address by the schema of that name.
func takes[T any](api huma.API, path string) {
	takesSchema(api, path, schemaOf[T](api))
}

func takesSchema(api huma.API, path string, schema *huma.Schema) {
	item := api.OpenAPI().Paths[path]
	for _, op := range []*huma.Operation{item.Post, item.Put, item.Patch} {
		if op != nil && op.RequestBody != nil {
			op.RequestBody.Content = map[string]*huma.MediaType{"application/json": {Schema: schema}}
		}
	}
}

// mayTake is takes for bodies that may be empty.
func mayTake[T any](api huma.API, path string) {
	takes[T](api, path)
	api.OpenAPI().Paths[path].Post.RequestBody.Required = false
}

// takesPatch describes the bodies of requests to an address as merge patches for definitions.
func takesPatch(api huma.API, path string) {
	schemaOf[domain.Definition](api)
	takesSchema(api, path, &huma.Schema{Ref: "#/components/schemas/SchedulePatch"})
}

func schemaOf[T any](api huma.API) *huma.Schema {
	return api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[T](), true, "")
}

// schemaName returns the name of the schema of a type.
func schemaName(t reflect.Type, hint string) string {
	name := huma.DefaultSchemaNamer(t, hint)
	if other, ok := schemaNames[name]; ok {
		return other
	}
	return name
}
