package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/catalog"
	"github.com/tactus-dev/tactus/internal/cloudevents"
)

func (s *server) events(api huma.API) {
	schema := api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[eventPage](), true, "EventPage")
	register(api, huma.Operation{
		OperationID: "list-events", Method: http.MethodGet, Path: prefix + "/events", Summary: "The log of changes, as a page or as Server-Sent Events",
		Description: "Every committed change of a schedule, once, and each schedule's in order. Go on behind a page with after=next, for as long as " +
			"more is true: a page with no events may have more behind it, when type or schedule choose few. With Accept: " +
			"text/event-stream the answer does not end, and each event's id is the cursor behind it.",
		Responses: map[string]*huma.Response{"200": {
			Description: "OK",
			Content:     map[string]*huma.MediaType{"application/json": {Schema: schema}, eventStream: {Schema: &huma.Schema{Type: huma.TypeString}}},
		}},
	}, s.feed)
}

// eventPage is a part of the log.
type eventPage struct {
	Events []json.RawMessage `json:"events" doc:"CloudEvents 1.0, as in the stream of events."`
	Next   string            `json:"next" doc:"The cursor behind these events: give it as after."`
	More   bool              `json:"more" doc:"There may be more by now. A page looks at a bounded part of the log, and may have chosen nothing of it."`
}

const eventStream = "text/event-stream"

type eventsInput struct {
	After       string           `query:"after" doc:"The cursor behind which to read; now for what is still to come; the beginning of the log unless given."`
	Limit       int              `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	Type        domain.EventType `query:"type" enum:"schedule.created,schedule.updated,schedule.deleted,schedule.enabled,schedule.disabled,schedule.invalidated"`
	Schedule    string           `query:"schedule" doc:"Only those of the schedule with this id."`
	Accept      string           `header:"Accept"`
	LastEventID string           `header:"Last-Event-ID" doc:"Where a stream broke off; it goes before after."`
}

func (s *server) feed(ctx context.Context, in *eventsInput) (*huma.StreamResponse, error) {
	f := feed{catalog: s.catalog, filter: catalog.EventFilter{Type: in.Type}, limit: in.Limit}
	if in.Schedule != "" {
		id, err := domain.ParseID(in.Schedule)
		if err != nil {
			return nil, s.answer(domain.ErrNotFound)
		}
		f.filter.Schedule = &id
	}
	var err error
	if f.at, err = s.start(ctx, in); err != nil {
		return nil, s.answer(err)
	}
	events, err := f.next(ctx) // before anything is answered: what is wrong can still be said
	if err != nil {
		return nil, s.answer(err)
	}
	if strings.Contains(in.Accept, eventStream) {
		return &huma.StreamResponse{Body: func(c huma.Context) { s.stream(c, &f, events) }}, nil
	}
	return &huma.StreamResponse{Body: func(c huma.Context) { s.page(c, &f, events) }}, nil
}

func (s *server) start(ctx context.Context, in *eventsInput) (catalog.Cursor, error) {
	after := in.After
	if in.LastEventID != "" {
		after = in.LastEventID
	}
	if after == "now" {
		return s.catalog.Latest(ctx)
	}
	return catalog.ParseCursor(after)
}

// feed reads on through the log.
type feed struct {
	catalog *catalog.Catalog
	filter  catalog.EventFilter
	limit   int
	at      catalog.Cursor
	more    bool
}

// event is one as the outside sees it.
type event struct {
	at   catalog.Cursor
	kind domain.EventType
	json []byte // on one line
}

func (f *feed) next(ctx context.Context) ([]event, error) {
	found, at, more, err := f.catalog.Events(ctx, f.at, f.filter, f.limit)
	if err != nil {
		return nil, err
	}
	events := make([]event, len(found))
	for i, e := range found {
		m, err := cloudevents.Schedule(e.Row, e.Epoch)
		if err != nil {
			return nil, fmt.Errorf("read feed: %w", err)
		}
		var line bytes.Buffer
		if err := json.Compact(&line, m.Payload); err != nil {
			return nil, fmt.Errorf("read feed: %w", err)
		}
		events[i] = event{e.At, e.Type, line.Bytes()}
	}
	f.at, f.more = at, more
	return events, nil
}

func (s *server) page(c huma.Context, f *feed, events []event) {
	page := eventPage{Events: make([]json.RawMessage, len(events)), Next: f.at.String(), More: f.more}
	for i, e := range events {
		page.Events[i] = e.json
	}
	c.SetHeader("Content-Type", "application/json")
	if err := json.NewEncoder(c.BodyWriter()).Encode(page); err != nil {
		s.log.Debug("the client is gone", "err", err)
	}
}
