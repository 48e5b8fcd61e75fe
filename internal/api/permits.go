package api

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tactus-dev/tactus/internal/access"
)

// permits has the permit that each operation demands of its callers. The catalog and the store apply the scope of a
// request by themselves, so an operation that reads and writes schedules only through them is scoped. An operation
// without an entry is for admins without a scope; TestEveryOperationDeclaresItsPermit fails until an entry is added.
var permits = map[string]access.Permit{
	"create-schedule":            {Role: access.Write, Scoped: true},
	"list-schedules":             {Role: access.Read, Scoped: true},
	"get-schedule":               {Role: access.Read, Scoped: true},
	"update-schedule":            {Role: access.Write, Scoped: true},
	"patch-schedule":             {Role: access.Write, Scoped: true},
	"delete-schedule":            {Role: access.Write, Scoped: true},
	"put-schedule-by-name":       {Role: access.Write, Scoped: true},
	"compare-schedule":           {Role: access.Write, Scoped: true},
	"enable-schedule":            {Role: access.Write, Scoped: true},
	"disable-schedule":           {Role: access.Write, Scoped: true},
	"skip-schedule":              {Role: access.Write, Scoped: true},
	"toggle-schedule":            {Role: access.Write, Scoped: true},
	"trigger-schedule":           {Role: access.Write, Scoped: true},
	"schedule-next":              {Role: access.Read, Scoped: true},
	"schedule-history":           {Role: access.Read, Scoped: true},
	"schedule-events":            {Role: access.Read, Scoped: true},
	"revert-schedule":            {Role: access.Write, Scoped: true},
	"stream-events":              {Role: access.Read, Scoped: true},
	"preview-schedule":           {Role: access.Read, Scoped: true}, // it reads no stored schedule
	"list-presets":               {Role: access.Read, Scoped: true},
	"schedule-task-status":       {Role: access.Read, Scoped: true},
	"task-status":                {Role: access.Read, Scoped: true},
	"list-runs":                  {Role: access.Read, Scoped: true},
	"get-run":                    {Role: access.Read, Scoped: true},
	"runs-summary":               {Role: access.Read, Scoped: true},
	"list-upcoming":              {Role: access.Read, Scoped: true},
	"change-many":                {Role: access.Write, Scoped: true},
	"rerun":                      {Role: access.Write, Scoped: true},
	"cancel-run":                 {Role: access.Write, Scoped: true},
	"rerun-many":                 {Role: access.Write, Scoped: true},
	"cancel-many":                {Role: access.Write, Scoped: true},
	"backfill-schedule":          {Role: access.Write, Scoped: true},
	"list-backfills":             {Role: access.Read, Scoped: true},
	"get-backfill":               {Role: access.Read, Scoped: true},
	"cancel-backfill":            {Role: access.Write, Scoped: true},
	"list-events":                {Role: access.Read, Scoped: true},
	"list-routes":                {Role: access.Read, Scoped: true}, // where tasks go is no secret
	"put-route":                  {Role: access.Write},
	"delete-route":               {Role: access.Write},
	"list-calendars":             {Role: access.Read, Scoped: true}, // days are no secret
	"get-calendar":               {Role: access.Read, Scoped: true},
	"put-calendar":               {Role: access.Write},
	"delete-calendar":            {Role: access.Write},
	"list-notification-rules":    {Role: access.Read}, // rules name schedules of any scope
	"get-notification-rule":      {Role: access.Read},
	"put-notification-rule":      {Role: access.Write},
	"delete-notification-rule":   {Role: access.Write},
	"rotate-notification-secret": {Role: access.Write},
	"test-notification-rule":     {Role: access.Write},
	"list-keys":                  {Role: access.Admin},
	"create-key":                 {Role: access.Admin},
	"get-key":                    {Role: access.Admin},
	"revoke-key":                 {Role: access.Admin},
	"rotate-key":                 {Role: access.Admin},
	"whoami":                     {Role: access.Read, Scoped: true},
}

// demand refuses a request whose principal may not call an operation.
func demand(ctx context.Context, operation string) error {
	permit, declared := permits[operation]
	if !declared {
		permit = access.Permit{Role: access.Admin}
	}
	return permit.Demand(ctx)
}

// identified refuses requests to the API without a principal, before their bodies are read.
func identified(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if under(r.URL.Path, prefix) && access.From(r.Context()).Kind == access.Nobody {
			access.Answer(w, access.Permit{Role: access.Read}.Demand(r.Context()))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// bearer is the authentication scheme of clients other than browsers.
const bearer = "bearer"

// secured adds the authentication schemes to the description.
func secured(api huma.API) {
	api.OpenAPI().Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		bearer: {
			Type: "http", Scheme: "bearer",
			Description: "An API key (tactus key create), where the server asks for one (TACTUS_AUTH).",
		},
	}
	api.OpenAPI().Security = []map[string][]string{{bearer: {}}, {}}
}

func under(path, folder string) bool { return path == folder || strings.HasPrefix(path, folder+"/") }
