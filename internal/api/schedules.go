package api

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/catalog"
)

const prefix = "/api/v1"

// maxBody is the most bytes of a body that are read. The error about a body between domain.MaxPayload and maxBody names
// its size.
const maxBody = 4 * domain.MaxPayload

// bodyTimeout is how long a client may take to send a body.
const bodyTimeout = 10 * time.Second

// requestTimeout is how long a request may wait for the database.
const requestTimeout = 10 * time.Second

// ByID names a schedule.
type ByID struct {
	ID string `path:"id" doc:"The schedule's id."`
}

func (b ByID) id() (domain.ID, error) {
	id, err := domain.ParseID(b.ID)
	if err != nil {
		return domain.ID{}, fmt.Errorf("%w", domain.ErrNotFound)
	}
	return id, nil
}

// IfMatch is the version that the client has read.
type IfMatch struct {
	ETag string `header:"If-Match" doc:"The ETag of the schedule as it was read. When it has changed since, the answer is 412."`
}

// Once has the idempotency key, which makes it safe to repeat a request.
type Once struct {
	Key string `header:"Idempotency-Key" maxLength:"255" doc:"A repeated request of the same actor with the same key answers what the first one made."`
}

// version returns the version in If-Match, or 0 for any.
func (m IfMatch) version() (int64, error) {
	text := strings.TrimSpace(m.ETag)
	if text == "" || text == "*" {
		return 0, nil
	}
	version, err := strconv.ParseInt(strings.Trim(strings.TrimPrefix(text, "W/"), `"`), 10, 64)
	if err != nil || version < 1 {
		return 0, domain.ErrVersionConflict
	}
	return version, nil
}

type (
	body struct {
		RawBody []byte `contentType:"application/json"`
	}
	one struct {
		ETag string `header:"ETag"`
		Body catalog.Entry
	}
	created struct {
		Status   int
		Location string `header:"Location"`
		ETag     string `header:"ETag"`
		Body     catalog.Entry
	}
	page struct {
		Schedules     []catalog.Entry `json:"schedules"`
		Total         *int64          `json:"total,omitempty" doc:"How many there are; 100000 when there are more, and 10000 with q, tag, task_name, state or invalid=false. Not counted with page_size, page_token, sort, queue, last_status, pause_group, text or owner."`
		Page          int             `json:"page,omitempty"`
		PerPage       int             `json:"per_page,omitempty"`
		NextPageToken *string         `json:"next_page_token,omitempty" doc:"Where the list goes on, when it is read by page_token; empty at its end. A page may hold fewer than asked for, even none, before the end."`
	}
)

func (s *server) schedules(api huma.API) {
	register(api, huma.Operation{OperationID: "create-schedule", Method: http.MethodPost, Path: prefix + "/schedules", Summary: "Create a schedule", DefaultStatus: http.StatusCreated}, s.create)
	register(api, huma.Operation{OperationID: "list-schedules", Method: http.MethodGet, Path: prefix + "/schedules", Summary: "List schedules, newest first", Description: "A page of more than 16 MiB is refused (page_too_large): ask for fewer at once; read by page_token, it has fewer schedules instead. When the answers that clients are still reading are 64 MiB together, the answer is 503 (answers_too_large)."}, s.list)
	register(api, huma.Operation{OperationID: "get-schedule", Method: http.MethodGet, Path: prefix + "/schedules/{id}", Summary: "Read a schedule"}, s.get)
	register(api, huma.Operation{OperationID: "update-schedule", Method: http.MethodPut, Path: prefix + "/schedules/{id}", Summary: "Change the members that are given"}, s.merge)
	register(api, huma.Operation{OperationID: "patch-schedule", Method: http.MethodPatch, Path: prefix + "/schedules/{id}", Summary: "Change a schedule by JSON merge patch (RFC 7396)"}, s.merge)
	register(api, huma.Operation{OperationID: "delete-schedule", Method: http.MethodDelete, Path: prefix + "/schedules/{id}", Summary: "Delete a schedule", DefaultStatus: http.StatusNoContent}, s.remove)
	register(api, huma.Operation{OperationID: "put-schedule-by-name", Method: http.MethodPut, Path: prefix + "/schedules/by-name/{name}", Summary: "Create the schedule of that name, or replace its definition"}, s.putByName)
	takes[domain.Definition](api, prefix+"/schedules")
	takes[domain.Definition](api, prefix+"/schedules/by-name/{name}")
	takesPatch(api, prefix+"/schedules/{id}")
}

// register adds an operation. domain.Decode reads the bodies, because it finds every fault; takes describes
// them.
func register[I, O any](api huma.API, op huma.Operation, handler func(context.Context, *I) (*O, error)) {
	op.Middlewares = append(op.Middlewares, refuseRepeated)
	op.MaxBodyBytes, op.BodyReadTimeout, op.SkipValidateBody = maxBody, bodyTimeout, true
	op.Errors = []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusConflict, http.StatusPreconditionFailed, http.StatusUnprocessableEntity, http.StatusTooManyRequests, http.StatusServiceUnavailable}
	huma.Register(api, op, func(ctx context.Context, in *I) (*O, error) {
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		if err := ctx.Err(); err != nil {
			return nil, newProblem(http.StatusServiceUnavailable, canceled) // the client is gone
		}
		if err := demand(ctx, op.OperationID); err != nil {
			return nil, faulty(domain.FaultsOf(err))
		}
		return handler(ctx, in)
	})
}

func (s *server) create(ctx context.Context, in *struct {
	Once
	body
},
) (*created, error) {
	definition, err := s.decode(ctx, in.RawBody, true)
	if err != nil {
		return nil, s.answer(err)
	}
	made, err := s.store.Create(ctx, definition, in.Key, in.RawBody)
	if err != nil {
		return nil, s.answer(err)
	}
	return s.created(ctx, http.StatusCreated, made.ID)
}

// decode parses a whole definition. If that fails, it also looks for the faults that the write would find, so that the
// answer has all of them. The texts of a schedule that may exist already are not judged, because they may be older than
// the rules for texts.
func (s *server) decode(ctx context.Context, raw []byte, isNew bool) (definition domain.Definition, err error) {
	gone := s.bodies.judge(ctx, func() {
		if definition, err = domain.Decode(raw); err != nil {
			c := domain.Context{Timezone: s.timezone, Now: time.Now(), Check: s.check}
			if !isNew {
				c.Kept = &definition
			}
			_, _, more := definition.Normalize(c)
			err = domain.Join(err, more)
		}
	})
	if gone != nil {
		return definition, gone
	}
	if err != nil {
		if _, unknown := s.store.Sets(ctx, definition); domain.FaultsOf(unknown) != nil {
			err = domain.Join(err, unknown)
		}
	}
	return definition, err
}

func (s *server) created(ctx context.Context, status int, id domain.ID) (*created, error) {
	entry, err := s.read(ctx, id)
	if err != nil {
		return nil, err
	}
	return &created{Status: status, Location: prefix + "/schedules/" + id.String(), ETag: entry.ETag, Body: entry.Body}, nil
}

// read returns the current schedule.
func (s *server) read(ctx context.Context, id domain.ID) (*one, error) {
	entry, err := s.catalog.Get(ctx, id)
	if err != nil {
		return nil, s.answer(err)
	}
	return &one{ETag: fmt.Sprintf(`"%d"`, entry.Version), Body: entry}, nil
}

func (s *server) list(ctx context.Context, in *struct {
	Page     int      `query:"page" minimum:"1" maximum:"1000000" default:"1"`
	PerPage  int      `query:"per_page" minimum:"1" maximum:"1000" default:"50"`
	Enabled  string   `query:"enabled" enum:"true,false"`
	Only     bool     `query:"enabled_only" doc:"The same as enabled=true."`
	State    string   `query:"state" enum:"active,paused,completed,invalid" doc:"Those in this state."`
	Invalid  string   `query:"invalid" enum:"true,false" doc:"Those that cannot be scheduled as they are, for invalid_reason; or all others."`
	Category string   `query:"category" maxLength:"200"`
	Tags     []string `query:"tag,explode" maxItems:"50" doc:"Those that have this tag; repeated, all of them."`
	TagsToo  []string `query:"tags,explode" maxItems:"50" doc:"The same as tag."`
	Task     string   `query:"task_name" maxLength:"200" doc:"The whole name of the task."`
	Name     string   `query:"name" maxLength:"200" doc:"The whole name."`
	Query    string   `query:"q" maxLength:"200" doc:"A part of the name, in either case."`
	IfNoneMatch
	Text       string           `query:"text" maxLength:"200" doc:"A part of the name, the task, the category, a tag, or the description (of schedules whose definition has no more than 64 KiB), in either case."`
	Owner      string           `query:"owner" maxLength:"220" doc:"Those that this one keeps: source:NAME of files that were applied, import:KIND:LABEL, table:NAME of an adopted table; none for those of nobody."`
	Queue      string           `query:"queue" maxLength:"200" doc:"Those that name this queue, or whose task's route does."`
	LastStatus domain.RunStatus `query:"last_status" enum:"due,sent,started,retrying,succeeded,failed,revoked,expired,unknown" doc:"Those whose newest run is in this state."`
	PauseGroup string           `query:"pause_group" maxLength:"200" doc:"Those that were disabled together by this operation."`
	Sort       string           `query:"sort" enum:"newest,name,next,last" doc:"newest first, unless given; by next or last run at most 2000 schedules are sorted."`
	PageSize   int              `query:"page_size" minimum:"1" maximum:"1000" doc:"Read the list by page_token: at most so many at once (50 unless given)."`
	PageToken  string           `query:"page_token" maxLength:"2000" doc:"The next_page_token of the page before."`
},
) (*listed[page], error) {
	filter := catalog.Filter{State: in.State, Category: in.Category, Tags: append(in.Tags, in.TagsToo...), Task: in.Task, Name: in.Name, Query: in.Query, Limit: in.PerPage, Offset: (in.Page - 1) * in.PerPage}
	if in.Enabled != "" || in.Only {
		enabled := in.Enabled == "true" || in.Only
		filter.Enabled = &enabled
	}
	if in.Invalid != "" {
		invalid := in.Invalid == "true"
		filter.Invalid = &invalid
	}
	filter.Queue, filter.LastStatus, filter.PauseGroup = in.Queue, in.LastStatus, in.PauseGroup
	filter.Text, filter.Owner = in.Text, in.Owner
	if in.PageSize > 0 || in.PageToken != "" || in.Sort != "" ||
		in.Queue+string(in.LastStatus)+in.PauseGroup+in.Text+in.Owner != "" {
		if in.Page > 1 {
			return nil, s.answer(&domain.Error{Kind: domain.Invalid, Code: "parameter_invalid", Field: "page", Message: "this list is read by page_token, not by page"})
		}
		if in.PageSize == 0 {
			in.PageSize = in.PerPage
		}
		found, err := s.catalog.Schedules(ctx, filter, orders[in.Sort], catalog.Page{Size: in.PageSize, Token: in.PageToken})
		if err != nil {
			return nil, s.answer(err)
		}
		return list(in.IfNoneMatch, page{Schedules: found.Schedules, NextPageToken: &found.NextPageToken}), nil
	}
	entries, total, err := s.catalog.List(ctx, filter)
	if err != nil {
		return nil, s.answer(err)
	}
	return list(in.IfNoneMatch, page{Schedules: entries, Total: &total, Page: in.Page, PerPage: in.PerPage}), nil
}

// orders maps the names of orders to the orders of lists.
var orders = map[string]catalog.Order{"name": catalog.ByName, "next": catalog.ByNext, "last": catalog.ByLast}

func (s *server) get(ctx context.Context, in *ByID) (*one, error) {
	id, err := in.id()
	if err != nil {
		return nil, s.answer(err)
	}
	return s.read(ctx, id)
}

func (s *server) merge(ctx context.Context, in *struct {
	ByID
	IfMatch
	body
},
) (*one, error) {
	id, version, err := target(in.ByID, in.IfMatch)
	if err != nil {
		return nil, s.answer(err)
	}
	if _, err := s.store.Merge(ctx, id, version, in.RawBody); err != nil {
		return nil, s.answer(err)
	}
	return s.read(ctx, id)
}

func target(b ByID, m IfMatch) (domain.ID, int64, error) {
	id, err := b.id()
	if err != nil {
		return id, 0, err
	}
	version, err := m.version()
	return id, version, err
}

func (s *server) remove(ctx context.Context, in *struct {
	ByID
	IfMatch
},
) (*struct{}, error) {
	id, version, err := target(in.ByID, in.IfMatch)
	if err != nil {
		return nil, s.answer(err)
	}
	return nil, s.answer(s.store.Delete(ctx, id, version))
}

func (s *server) putByName(ctx context.Context, in *struct {
	Name string `path:"name"`
	body
},
) (*created, error) {
	if strings.TrimSpace(in.Name) != in.Name {
		return nil, s.answer(&domain.Error{
			Kind: domain.Invalid, Code: "name_invalid", Field: "/name",
			Message: fmt.Sprintf("%.200q has white space around it, which no name keeps: leave it out", in.Name),
		})
	}
	definition, err := s.decode(ctx, in.RawBody, false)
	if err != nil {
		return nil, s.answer(err)
	}
	if definition.Name != "" && definition.Name != in.Name {
		return nil, s.answer(&domain.Error{
			Kind: domain.Invalid, Code: "name_invalid", Field: "/name",
			Message: fmt.Sprintf("the address says %.200q, the body %.200q: leave it out of the body", in.Name, definition.Name),
		})
	}
	definition.Name = in.Name
	put, isNew, err := s.store.Put(ctx, definition)
	if err != nil {
		return nil, s.answer(err)
	}
	status := http.StatusOK
	if isNew {
		status = http.StatusCreated
	}
	return s.created(ctx, status, put.ID)
}
